/** Says what is fetched, to those who cannot see the bar. */
export const Loading = ({ what }: { what: string }) => (
  <div className="loading" role="status">
    <span className="loading-bar" aria-hidden="true" />
    <span className="visually-hidden">Loading {what}</span>
  </div>
);
