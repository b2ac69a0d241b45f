import type { FunctionProto, NodeProto } from './messages.js';
import { isDefaultDomain } from './model.js';

/**
 * What a node computes: the name of a standard operator (`Conv`), or one of another domain with its domain
 * (`com.microsoft::FusedConv`). This file alone reads the bare name of a node: operators of different domains share
 * names, and compute different things.
 */
export const operatorOf = ({ domain, opType }: Pick<NodeProto, 'domain' | 'opType'>): string =>
  labelled(domain, opType);

/** Whether a node is one of these standard operators. */
export const isOperator = (node: NodeProto | null | undefined, ...names: readonly string[]): boolean =>
  node != null && names.includes(operatorOf(node));

/** The same of a local function. */
export const functionLabel = ({ domain, name, overload }: FunctionProto): string =>
  `${labelled(domain, name)}${(overload ?? '') === '' ? '' : `:${overload ?? ''}`}`;

/** Under which a call finds its function. */
export const functionKey = ({ domain, name, overload }: FunctionProto): string => keyOf(domain, name, overload);

export const callKey = ({ domain, opType, overload }: NodeProto): string => keyOf(domain, opType, overload);

const labelled = (domain: string | undefined, name: string): string =>
  isDefaultDomain(domain) ? name : `${domain ?? ''}::${name}`;

const keyOf = (domain: string | undefined, name: string, overload: string | undefined): string =>
  JSON.stringify([isDefaultDomain(domain) ? '' : domain, name, overload ?? '']);
