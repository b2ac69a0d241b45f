/** The check of submitted files may take this long; files that take longer are refused. */
export const CHECK_SECONDS = 120;

/** A check that got no place in this time is refused: the service is busy. */
export const CHECK_WAIT_SECONDS = 300;

/** A request that is checked is answered long before this: the rest is for fetching and storing its files. */
export const ANSWER_SECONDS = 2 * (CHECK_SECONDS + CHECK_WAIT_SECONDS);
