import {
  type ColumnDef,
  createSortedRowModel,
  rowSortingFeature,
  type RowData,
  sortFn_alphanumeric,
  sortFn_alphanumericCaseSensitive,
  sortFn_basic,
  sortFn_datetime,
  sortFn_text,
  sortFn_textCaseSensitive,
  tableFeatures,
  useTable,
} from '@tanstack/react-table';
import { Icon } from './icon.js';
import { TableScroll } from './table-scroll.js';

const features = tableFeatures({
  rowSortingFeature,
  sortedRowModel: createSortedRowModel(),
  sortFns: {
    alphanumeric: sortFn_alphanumeric,
    alphanumericCaseSensitive: sortFn_alphanumericCaseSensitive,
    basic: sortFn_basic,
    datetime: sortFn_datetime,
    text: sortFn_text,
    textCaseSensitive: sortFn_textCaseSensitive,
  },
});

export interface Column<T> {
  id: string;
  header: string;
  /** What it is sorted by. */
  value: (row: T) => string | number | null;
  /** What is shown; the value, where it is not given. */
  show?: (row: T) => React.ReactNode;
  numeric?: boolean;
  /** The cell that names the row. */
  heading?: boolean;
}

export interface DataTableProps<T> {
  name: string;
  rows: T[];
  columns: Column<T>[];
  rowKey: (row: T) => string;
  isSelected?: (row: T) => boolean;
}

/** A table that sorts by a click on a head. */
export function DataTable<T extends RowData>({ name, rows, columns, rowKey, isSelected }: DataTableProps<T>) {
  const byId = new Map(columns.map((column) => [column.id, column]));
  const definitions: ColumnDef<typeof features, T>[] = columns.map(({ id, header, value }) => ({
    id,
    header,
    // An undefined value sorts last, whichever way.
    accessorFn: (row: T) => value(row) ?? undefined,
    sortUndefined: 'last',
  }));
  const table = useTable({ features, data: rows, columns: definitions, getRowId: rowKey });
  return (
    <TableScroll label={name}>
      <table className="table">
        <thead>
          {table.getHeaderGroups().map((group) => (
            <tr key={group.id}>
              {group.headers.map(({ id, column }) => {
                const sorted = column.getIsSorted();
                const known = byId.get(id);
                return (
                  <th
                    key={id}
                    scope="col"
                    className={known?.numeric === true ? 'number' : ''}
                    {...(sorted === false ? {} : { 'aria-sort': sorted === 'asc' ? 'ascending' : 'descending' })}
                  >
                    <button type="button" className="sort" onClick={column.getToggleSortingHandler()}>
                      {known?.header}
                      {sorted === false ? null : (
                        <span className={sorted === 'asc' ? 'up' : ''}>
                          <Icon name="chevron" size={11} />
                        </span>
                      )}
                    </button>
                  </th>
                );
              })}
            </tr>
          ))}
        </thead>
        <tbody>
          {table.getRowModel().rows.map((row) => (
            <tr key={row.id} className={isSelected?.(row.original) === true ? 'row-selected' : ''}>
              {columns.map(({ id, value, show, numeric, heading }) => {
                const content = show === undefined ? value(row.original) : show(row.original);
                const look = numeric === true ? 'number' : '';
                return heading === true ? (
                  <th key={id} scope="row" className={look}>
                    {content}
                  </th>
                ) : (
                  <td key={id} className={look}>
                    {content}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </TableScroll>
  );
}
