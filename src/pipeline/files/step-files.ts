/** Names of the files that steps hand to each other. */
export const files = {
  /** inspect: layer, weights, samples */
  samples: (index: number) => `layer-${String(index)}.samples`,
  /** inspect: the original network's response at the samples, what a skip branch adds included */
  response: (index: number) => `layer-${String(index)}.response`,
  /** inspect: how much errors of the layer's response matter to the outputs; absent where that is not known */
  metric: (index: number) => `layer-${String(index)}.metric`,
  /** inspect: layers, candidates and sensitivities, JSON */
  curves: 'curves.json',
  /** layer: one for every distinct choice of the layer */
  factors: (choice: number) => (choice === 0 ? 'factors' : `factors-${String(choice + 1)}`),
  /** assemble: of one point */
  model: 'compressed-model',
  /** assemble: the same with float32 weights, where they are coded */
  uncoded: 'uncoded-model',
  /** assemble: the network under work, where the format of the model keeps no names of inner tensors */
  inner: 'inner-model',
} as const;
