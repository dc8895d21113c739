// What the pickle of a PyTorch checkpoint says: tensors as views of storages, numbers and texts, all by their path.

import { DlcourseError } from '../errors.js';
import { clip } from './json-scanner.js';
import { describe, isNode, orderedDict, type PickleRules, type PickleValue, plainHint } from './pickle.js';
import { checkedProduct, type Dtype, dtypes, limits } from './safetensors-header.js';

/** A block of elements that tensors look at; two tensors with one key share it. */
export interface Storage {
  readonly key: string;
  readonly dtype: Dtype;
  /** Elements. */
  readonly count: number;
}

/** A tensor as a view: element [i, j, …] is number offset + i·stride[0] + j·stride[1] + … of its storage. */
export interface PytorchTensorInfo {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly storage: Storage;
  readonly offset: number;
  readonly stride: readonly number[];
}

export type Scalar = null | boolean | number | bigint | string;

export interface Checkpoint {
  /** In the order of the file. */
  readonly tensors: Map<string, PytorchTensorInfo>;
  readonly scalars: Map<string, Scalar>;
  readonly storages: Map<string, Storage>;
}

/** Where a storage lies in the file; `crc32` in zip files only. */
export interface Place {
  begin: number;
  end: number;
  crc32?: number;
}

/** A checkpoint with the places of its storages by their keys. */
export interface Opened {
  checkpoint: Checkpoint;
  places: Map<string, Place>;
}

export const treeLimits = { depth: 32, visits: 500_000, scalars: 100_000 } as const;

export const storageTypes: ReadonlyMap<string, Dtype> = new Map<string, Dtype>([
  ['torch.FloatStorage', 'F32'],
  ['torch.DoubleStorage', 'F64'],
  ['torch.HalfStorage', 'F16'],
  ['torch.BFloat16Storage', 'BF16'],
  ['torch.LongStorage', 'I64'],
  ['torch.IntStorage', 'I32'],
  ['torch.ShortStorage', 'I16'],
  ['torch.CharStorage', 'I8'],
  ['torch.ByteStorage', 'U8'],
  ['torch.BoolStorage', 'BOOL'],
]);
const rebuildTensor = 'torch._utils._rebuild_tensor';
const rebuildTensor2 = 'torch._utils._rebuild_tensor_v2';
const rebuildParameter = 'torch._utils._rebuild_parameter';
const size = 'torch.Size';

/** The globals of a checkpoint, all 15; `where` names the pickle. */
export function pytorchRules(where: string): PickleRules {
  const callable = new Set([orderedDict, rebuildTensor, rebuildTensor2, rebuildParameter, size]);
  return { where, callable, inert: new Set(storageTypes.keys()) };
}

/** A tensor without the path at which a checkpoint has it. */
export type UnnamedTensor = Omit<PytorchTensorInfo, 'name'>;

/**
 * Flattens a checkpoint: dicts, lists and tuples become paths, joined by dots; a tensor alone has the name ''.
 *
 * @param elsewhere tensors that the pickle only mentions by a text, as in tar archives
 *
 * Errors, class refusedFile: `E_PYTORCH_TENSOR`, `E_PYTORCH_STORAGE`, `E_PYTORCH_VIEW`, `E_PYTORCH_NAME`,
 * `E_PYTORCH_DUPLICATE`, `E_PYTORCH_LIMIT`.
 */
export function readCheckpoint(
  root: PickleValue,
  where: string,
  elsewhere?: ReadonlyMap<string, UnnamedTensor>,
): Checkpoint {
  const found: Checkpoint = { tensors: new Map(), scalars: new Map(), storages: new Map() };
  let visits = 0;
  const limit = (problem: string) => refused('E_PYTORCH_LIMIT', where, problem);

  // Depth and visits bound what shared and self-containing nodes can unfold to.
  const visit = (value: PickleValue, path: string, depth: number): void => {
    if (++visits > treeLimits.visits) throw limit(`expected at most ${treeLimits.visits} values, got more`);
    if (depth > treeLimits.depth) throw limit(`expected at most ${treeLimits.depth} levels, got more`);
    if (value === null || typeof value !== 'object') {
      requireNew(found, path, where);
      if (found.scalars.size === treeLimits.scalars) {
        throw limit(`expected at most ${treeLimits.scalars} numbers and texts, got more`);
      }
      found.scalars.set(path, value);
      return;
    }
    const child = (key: PickleValue, item: PickleValue) =>
      visit(item, childPath(path, key, depth === 0, where), depth + 1);
    if (value.kind === 'dict') {
      for (const [i, key] of value.keys.entries()) child(key, value.values[i]);
    } else if (value.kind === 'list' || value.kind === 'tuple') {
      for (const [i, item] of value.items.entries()) child(i, item);
    } else if (value.kind === 'call' && value.name === size) {
      visit(value.args[0] ?? null, path, depth + 1);
    } else {
      requireNew(found, path, where);
      if (found.tensors.size === limits.tensors) throw limit(`expected at most ${limits.tensors} tensors, got more`);
      found.tensors.set(
        path,
        elsewhere ? mentionedTensor(value, path, elsewhere, where) : tensorOf(value, path, found.storages, where),
      );
    }
  };
  visit(root, '', 0);
  return found;
}

function childPath(path: string, key: PickleValue, isRoot: boolean, where: string): string {
  if (typeof key !== 'string' && typeof key !== 'number') {
    throw refused('E_PYTORCH_NAME', where, `expected names and numbers as keys, got ${describe(key)} in '${path}'`);
  }
  const name = isRoot ? String(key) : `${path}.${key}`;
  if (Buffer.byteLength(name) > limits.nameBytes || name.normalize('NFC') !== name) {
    const problem = `expected a path of at most ${limits.nameBytes} bytes in Unicode NFC, got '${clip(name)}'`;
    throw refused('E_PYTORCH_NAME', where, problem);
  }
  return name;
}

function requireNew({ tensors, scalars }: Checkpoint, path: string, where: string): void {
  if (tensors.has(path) || scalars.has(path)) {
    throw refused('E_PYTORCH_DUPLICATE', where, `expected each path once, got '${path}' twice`);
  }
}

function mentionedTensor(
  value: PickleValue,
  name: string,
  elsewhere: ReadonlyMap<string, UnnamedTensor>,
  where: string,
): PytorchTensorInfo {
  const [id, ...more] = isNode(value, 'persistent') ? value.id : [value];
  const tensor = typeof id === 'string' && more.length === 0 ? elsewhere.get(id) : undefined;
  if (tensor) return { ...tensor, name };
  throw refused('E_PYTORCH_TENSOR', where, `expected a tensor of the archive at '${name}', got ${describe(id)}`);
}

function tensorOf(value: PickleValue, name: string, storages: Map<string, Storage>, where: string): PytorchTensorInfo {
  const inner = isNode(value, 'call') && value.name === rebuildParameter ? value.args[0] : value;
  if (!isNode(inner, 'call') || (inner.name !== rebuildTensor && inner.name !== rebuildTensor2)) {
    throw refused('E_PYTORCH_TENSOR', where, `expected a tensor, number or text at '${name}', got ${describe(inner)}`);
  }
  const at = `${where}: tensor '${name}' at byte ${inner.at}`;
  const refuse = (code: string, problem: string) => refused(code, at, problem);
  const [source, offset, shape, stride, requiresGrad, hooks, metadata = null] = inner.args;
  const isComplete =
    inner.name === rebuildTensor
      ? inner.args.length === 4
      : [6, 7].includes(inner.args.length) && typeof requiresGrad === 'boolean' && isNode(hooks, 'dict');
  if (!isComplete) throw refuse('E_PYTORCH_TENSOR', `expected the arguments of ${inner.name}, got others`);
  // Bits such as "conjugated" or "negated" would change the values.
  if (metadata !== null && !(isNode(metadata, 'dict') && metadata.keys.length === 0)) {
    throw refuse('E_PYTORCH_TENSOR', 'expected a plain tensor, got one with flags');
  }
  const storage = storageOf(source, at);
  const known = storages.get(storage.key);
  if (known && (known.dtype !== storage.dtype || known.count !== storage.count)) {
    const problem = `expected storage ${storage.key} as ${known.dtype} [${known.count}], got ${storage.dtype} [${storage.count}]`;
    throw refuse('E_PYTORCH_STORAGE', problem);
  }
  if (!known) storages.set(storage.key, storage);
  const [extents, steps] = [extentsOf(shape), extentsOf(stride)];
  if (!extents || steps?.length !== extents.length || !isExtent(offset)) {
    const problem = `expected an offset and up to ${limits.rank} extents with strides, all whole and not negative`;
    throw refuse('E_PYTORCH_VIEW', `${problem}, got others`);
  }
  const last = lastElement(extents, steps, offset);
  if (last === undefined || last >= storage.count) {
    const problem = `[${extents.join(', ')}] with strides [${steps.join(', ')}] from ${offset}`;
    throw refuse('E_PYTORCH_VIEW', `expected a view within ${storage.count} elements, got ${problem}`);
  }
  return { name, dtype: storage.dtype, shape: extents, storage: known ?? storage, offset, stride: steps };
}

/** From ('storage', type, key, device, elements), with a sixth None in files from before the zip format. */
function storageOf(source: PickleValue | undefined, where: string): Storage {
  const refuse = (problem: string) => refused('E_PYTORCH_STORAGE', where, problem);
  if (!isNode(source, 'persistent')) throw refuse(`expected a storage, got ${describe(source)}`);
  const [kind, type, key, device, count, view = null] = source.id;
  const dtype = isNode(type, 'global') ? storageTypes.get(type.name) : undefined;
  if (kind !== 'storage' || dtype === undefined || typeof device !== 'string')
    throw refuse(`expected a storage, got ${describe(type)}`);
  if (typeof key !== 'string' || !/^\d{1,20}$/.test(key)) {
    throw refuse(`expected a number as the storage's key, got ${describe(key)}`);
  }
  if (view !== null || source.id.length > 6) throw refuse('expected a whole storage, got a part of one');
  if (!isExtent(count) || checkedProduct([count, dtypes[dtype].bytes]) === undefined) {
    throw refuse(`expected a count of elements below 2^53 bytes, got ${describe(count)}`);
  }
  return { key, dtype, count };
}

function extentsOf(value: PickleValue | undefined): number[] | undefined {
  const inner = isNode(value, 'call') && value.name === size ? value.args[0] : value;
  if (!isNode(inner, 'tuple') || inner.items.length > limits.rank) return undefined;
  const extents = inner.items.filter(isExtent);
  return extents.length === inner.items.length ? extents : undefined;
}

function isExtent(value: PickleValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** The largest element number that a view touches, −1 for none; undefined where a number reaches 2⁵³. */
export function lastElement(shape: readonly number[], stride: readonly number[], offset: number): number | undefined {
  if (checkedProduct(shape) === undefined) return undefined;
  if (shape.includes(0)) return -1;
  let last = offset;
  for (const [i, extent] of shape.entries()) {
    const reach = checkedProduct([extent - 1, stride[i]]);
    if (reach === undefined || last + reach > Number.MAX_SAFE_INTEGER) return undefined;
    last += reach;
  }
  return last;
}

function refused(code: string, where: string, problem: string): DlcourseError {
  return new DlcourseError({ code, class: 'refusedFile', where, problem, hint: plainHint });
}
