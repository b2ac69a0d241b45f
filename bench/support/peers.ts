/** Methods of bench/peers/compress.py: a network, calibration data and a parameter ratio make a file. */
export const PEERS = {
  svd: 'plain SVD of the weights',
  tucker: 'Tucker decomposition (TensorLy)',
  uniform: 'channel pruning by magnitude, layers alike (Torch-Pruning)',
  magnitude: 'channel pruning by magnitude, global (Torch-Pruning)',
  taylor: 'channel pruning by Taylor importance (Torch-Pruning)',
  distilled: 'distillation into narrower layers',
  linear: 'linear reconstruction of the responses',
};
