import { useQuery } from '@tanstack/react-query';
import { get } from './call.js';

export interface NetworkNode {
  name: string;
  op: string;
  /** Indices of the nodes whose outputs it takes. */
  inputs: number[];
  /** Index of its layer, where it has weights. */
  layer: number | null;
}

export const useNetwork = (id: string, there: boolean) =>
  useQuery({
    queryKey: ['job', id, 'network'],
    queryFn: ({ signal }) => get<{ nodes: NetworkNode[] }>(`/jobs/${id}/network`, signal),
    enabled: there,
    staleTime: Infinity,
  });
