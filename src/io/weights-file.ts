// Weights in whatever file they come: tensors by the name that they have in their network, read when asked for.

import { DlcourseError, suggest } from '../errors.js';
import { type FileSystem, nodeFileSystem, openForReading, readFully } from './filesystem.js';
import { openSafetensors, type SafetensorsFile, toFloat32 } from './safetensors.js';
import type { Dtype } from './safetensors-header.js';

/** A tensor in a file, before it is read. */
export interface WeightInfo {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
}

/** What both kinds of file can do. */
interface TensorFile {
  readonly path: string;
  readonly tensors: ReadonlyMap<string, WeightInfo>;
  float32(name: string): Promise<Float32Array>;
  close(): Promise<void>;
}

export type WeightsKind = 'pytorch' | 'safetensors';

/**
 * Which reader a file wants, by its first bytes: a name may end in anything. All that PyTorch writes begins as a zip
 * archive, a pickle or a tar archive; everything else is left to the reader of safetensors, which says what is wrong.
 *
 * Errors: `E_NOT_FOUND`, `E_READ`.
 */
export async function weightsKind(path: string, fs: FileSystem = nodeFileSystem): Promise<WeightsKind> {
  const { file } = await openForReading(path, fs);
  try {
    const bytes = new Uint8Array(512);
    const head = Buffer.from(bytes.buffer, 0, await readFully(file, bytes, 0));
    const isZip = head.toString('latin1', 0, 4) === 'PK\x03\x04';
    const isTar = head.toString('latin1', 257, 262) === 'ustar';
    // The length of a safetensors header may begin with the byte of a pickle; its JSON begins at byte 8.
    const isPickle = head[0] === 0x80 && head[8] !== 0x7b;
    return isZip || isTar || isPickle ? 'pytorch' : 'safetensors';
  } finally {
    await file.close();
  }
}

/**
 * Opens the weights of one network: a file, or several that hold a part of the tensors each. Containers
 * (`state_dict`, `model`, …) and prefixes that all names share (`module.`, …) are taken away. Close it when done.
 *
 * @param options.part the container to take where a file has several; by default the plain weights before averaged ones
 *
 * Errors: those of openPytorch and openSafetensors; `E_WEIGHTS_PART` (no such container), `E_WEIGHTS_SHARDS`
 * (a tensor in two files).
 */
export async function openWeights(
  paths: readonly string[],
  options: { part?: string | undefined; fs?: FileSystem } = {},
): Promise<WeightsFile> {
  const files: TensorFile[] = [];
  try {
    for (const path of paths) files.push(await openTensors(path, options.fs));
    return new WeightsFile(files, options.part);
  } catch (error) {
    await Promise.allSettled(files.map(file => file.close()));
    throw error;
  }
}

async function openTensors(path: string, fs: FileSystem = nodeFileSystem): Promise<TensorFile> {
  if ((await weightsKind(path, fs)) === 'pytorch') {
    const { openPytorch } = await import('./pytorch.js');
    return openPytorch(path, { fs });
  }
  return tensorsOf(await openSafetensors(path, { fs }));
}

const tensorsOf = (file: SafetensorsFile): TensorFile => ({
  path: file.path,
  tensors: file.tensors,
  float32: async name => {
    const values = toFloat32(await file.tensor(name));
    if (values) return values;
    throw new DlcourseError({
      code: 'E_WEIGHTS_DTYPE',
      class: 'mismatch',
      where: `${file.path}: tensor '${name}'`,
      problem: `expected floating-point numbers, got ${file.tensors.get(name)!.dtype}`,
      hint: 'check that these are the weights of this model',
    });
  },
  close: () => file.close(),
});

/** Open weights; {@link openWeights} makes them. */
export class WeightsFile {
  /** The file, or the first of several. */
  readonly path: string;
  /** All tensors by their name in the network. */
  readonly tensors: ReadonlyMap<string, WeightInfo>;
  /** What was taken off each name, such as `state_dict.module.`. */
  readonly prefix: string;
  /** Containers beside that which was taken. */
  readonly others: readonly string[];

  private readonly homes = new Map<string, TensorFile>();

  constructor(
    private readonly files: readonly TensorFile[],
    part?: string,
  ) {
    this.path = files[0]!.path;
    for (const file of files) {
      for (const name of file.tensors.keys()) {
        if (this.homes.has(name)) throw inTwoFiles(name, this.homes.get(name)!.path, file.path);
        this.homes.set(name, file);
      }
    }
    const { prefix, others } = unwrap([...this.homes.keys()], part, this.path);
    this.prefix = prefix;
    this.others = others;
    const tensors = new Map<string, WeightInfo>();
    for (const [full, file] of this.homes) {
      if (!full.startsWith(prefix)) continue;
      const { dtype, shape } = file.tensors.get(full)!;
      const name = full.slice(prefix.length);
      tensors.set(name, { name, dtype, shape });
    }
    this.tensors = tensors;
  }

  /** The values of a tensor: of 16 bits exactly, of 64 rounded. Errors: those of reading; integers are refused. */
  async float32(name: string): Promise<Float32Array> {
    const full = this.prefix + name;
    return this.homes.get(full)!.float32(full);
  }

  async close(): Promise<void> {
    await Promise.all(this.files.map(file => file.close()));
  }
}

/** Names under which checkpoints keep a network's weights, the plain before the averaged. */
const plain = ['state_dict', 'model_state_dict', 'model_state', 'model', 'net', 'network', 'weights', 'params'];
const averaged = ['state_dict_ema', 'model_ema', 'ema_state_dict', 'params_ema', 'model_ema_state_dict', 'ema'];
const containers = [...plain, ...averaged];
/** Names of wrappers, which all tensors then share. */
const wrappers = ['module', '_orig_mod', 'backbone', ...containers];
/** What a training keeps beside the weights. */
const beside =
  /^(optim|sched|lr_|scaler|amp|rng|random|loss|criterion|best|epoch|step|iter|args|config|loops|callback)/;

/**
 * What stands before every name of the network's own. Counters such as `n_averaged`, which stand alone beside a
 * wrapper, do not count.
 */
export function unwrap(
  names: readonly string[],
  part: string | undefined,
  where: string,
): { prefix: string; others: string[] } {
  let prefix = '';
  let wanted = part;
  let within = names;
  const others: string[] = [];
  for (;;) {
    const heads = new Set(within.filter(name => name.includes('.')).map(name => name.slice(0, name.indexOf('.'))));
    const alone = within.filter(name => !name.includes('.'));
    let next: string | undefined;
    if (wanted !== undefined && heads.has(wanted)) {
      next = wanted;
      wanted = undefined;
    } else {
      const known = containers.filter(name => heads.has(name));
      const rest = [...heads].filter(name => !known.includes(name) && !beside.test(name));
      if (rest.length === 0 && known.length > 0) next = known[0];
      else if (heads.size === 1 && wrappers.includes(rest[0]!) && alone.every(name => !isParameter(name)))
        [next] = rest;
    }
    if (next === undefined) break;
    others.push(...containers.filter(name => name !== next && heads.has(name)));
    prefix += `${next}.`;
    const start = `${next}.`;
    within = within.filter(name => name.startsWith(start)).map(name => name.slice(start.length));
  }
  if (wanted !== undefined) throw noPart(wanted, names, where);
  return { prefix, others };
}

const isParameter = (name: string): boolean => /^(weight|bias|running_mean|running_var)$/.test(name);

function noPart(part: string, names: readonly string[], where: string): DlcourseError {
  const heads = new Set(names.map(name => name.split('.', 1)[0]!));
  const found = containers.filter(name => heads.has(name));
  return new DlcourseError({
    code: 'E_WEIGHTS_PART',
    class: 'mismatch',
    where,
    problem: `expected tensors in '${part}', got none`,
    hint: found.length > 0 ? suggest(part, found) : 'leave it out: the file has no such parts',
  });
}

const inTwoFiles = (name: string, first: string, second: string): DlcourseError =>
  new DlcourseError({
    code: 'E_WEIGHTS_SHARDS',
    class: 'mismatch',
    where: second,
    problem: `expected other tensors than in ${first}, got '${name}' again`,
    hint: 'give the files of one model, each once',
  });
