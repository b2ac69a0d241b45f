import { Link } from 'react-router';
import { useTitle } from './title.js';

export function NotFound() {
  useTitle('Not found');
  return (
    <div className="empty">
      <h1>There is no such page</h1>
      <p>The address may be mistyped, or from another version.</p>
      <Link className="button" to="/jobs">
        To the jobs
      </Link>
    </div>
  );
}
