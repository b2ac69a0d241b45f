import { attr, type GraphSketch } from './graphs.js';
import type { OperatorForm } from './operator-forms.js';

/** What is compared, chosen, ordered and counted. */

const T = attr.type('DT_FLOAT');
const row = (): number[] => [6];
const half = (g: GraphSketch, value: number): string => g.constant({ shape: [], dtype: 'float32', values: [value] });
const toFloat = (g: GraphSketch, name: string): string =>
  g.node('y', 'Cast', [name], { DstT: attr.type('DT_FLOAT'), SrcT: attr.type('DT_INT32') });
const toInt = (g: GraphSketch, name: string, from: string): string =>
  g.node(name, 'Cast', [from], { SrcT: T, DstT: attr.type('DT_INT32') });

const comparison = (operator: string): OperatorForm => ({
  shape: row,
  build: (g) => toFloat(g, g.node('c', operator, ['x', half(g, 0.1)], { T })),
});

const both = (operator: string): OperatorForm => ({
  shape: row,
  build: (g) => {
    const above = g.node('a', 'Greater', ['x', half(g, -0.5)], { T });
    const below = g.node('b', 'LessEqual', ['x', half(g, 0.3)], { T });
    return toFloat(g, g.node('c', operator, [above, below]));
  },
});

const place = (operator: string): OperatorForm => ({
  shape: () => [4, 5],
  build: (g, c) => toFloat(g, g.node('i', operator, ['x', g.int(c.of(1, 2, -1))], { T })),
});

export const CHOICE_FORMS: Readonly<Record<string, OperatorForm>> = {
  GreaterEqual: comparison('GreaterEqual'),
  LessEqual: comparison('LessEqual'),
  'LogicalAnd of comparisons': both('LogicalAnd'),
  'LogicalOr of comparisons': both('LogicalOr'),
  'LogicalNot of a comparison': {
    shape: row,
    build: (g) => toFloat(g, g.node('n', 'LogicalNot', [g.node('c', 'Less', ['x', half(g, 0)], { T })])),
  },
  ArgMax: place('ArgMax'),
  ArgMin: place('ArgMin'),
  TopKV2: {
    shape: () => [3, 7],
    build: (g, c) => {
      const top = g.node('top', 'TopKV2', ['x', g.int(c.of(1, 3, 7))], { sorted: attr.flag(true), T });
      return [toFloat(g, `${top}:1`), g.node('values', 'Neg', [top], { T })];
    },
  },
  GatherNd: {
    shape: row,
    build: (g) => {
      const indices = g.constant({ shape: [3, 2], dtype: 'int32', values: [0, 1, 1, 5, 0, 0] });
      return g.node('y', 'GatherNd', ['x', indices], { Tparams: T });
    },
  },
  'GatherV2 at places that are computed': {
    shape: () => [4, 5],
    build: (g) => {
      const table = g.constant({ shape: [5, 2], dtype: 'float32', values: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] });
      const i = g.node('i', 'ArgMax', ['x', g.int(-1)], { T });
      return g.node('y', 'GatherV2', [table, i, g.int(0)], { batch_dims: attr.int(0), Tparams: T });
    },
  },
  'FloorMod of numbers': {
    shape: row,
    build: (g) => g.node('y', 'FloorMod', ['x', half(g, 0.3)], { T }),
  },
  'FloorMod of places': {
    shape: () => [9],
    build: (g) => {
      const i = g.node('i', 'ArgMax', ['x', g.int(1)], { T });
      return toFloat(g, g.node('m', 'FloorMod', [i, g.int(4)], { T: attr.type('DT_INT32') }));
    },
  },
  'Cast to whole numbers and back': {
    shape: row,
    build: (g) => toFloat(g, toInt(g, 'i', g.node('w', 'Mul', ['x', half(g, 5)], { T }))),
  },
};
