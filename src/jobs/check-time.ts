/** What a submission may spend on each part of its way to an answer. */

/** A file named by URL that takes longer is refused; upload such a file instead. */
export const FETCH_SECONDS = 900;

/** A check that got no place in this time is refused: the service is busy. */
export const CHECK_WAIT_SECONDS = 300;

/** Files whose check takes longer are refused. */
export const CHECK_SECONDS = 120;

/** The answer comes long before this: the rest is for storing the files. */
export const ANSWER_SECONDS = FETCH_SECONDS + CHECK_WAIT_SECONDS + CHECK_SECONDS + 480;
