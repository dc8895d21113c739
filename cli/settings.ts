// Settings that may stand on the command line, in the environment or in a config file, and where each came from.

import { readFile } from 'node:fs/promises';
import { Option } from 'commander';
import { DlcourseError, nearest } from '../src/errors.js';
import { readError } from '../src/io/filesystem.js';
import { type Kind, readValue } from './values.js';

export type Origin = 'flag' | 'environment' | 'config' | 'recipe' | 'default';

export interface Setting<T> {
  /** `--batch-size <n>` */
  readonly flags: string;
  readonly description: string;
  readonly kind: Kind<T>;
  /** As it would be written. */
  readonly initial?: string;
  /** Belongs to one run: not kept in its config, which may be repeated. */
  readonly once?: boolean;
}

export type Settings = Readonly<Record<string, Setting<unknown>>>;

type ValueOf<S> = S extends Setting<infer T> ? T : never;
export type Values<S extends Settings> = { [K in keyof S]: ValueOf<S[K]> | undefined };

export interface Resolved<S extends Settings> {
  readonly values: Values<S>;
  /** The same as written, without what is not set. */
  readonly written: Readonly<Record<string, string>>;
  readonly origins: Readonly<Record<string, Origin>>;
}

/** Declares a setting; T follows from the kind. */
export const setting = <T>(
  flags: string,
  description: string,
  kind: Kind<T>,
  more: { initial?: string; once?: boolean } = {},
): Setting<T> => ({ flags, description, kind, ...more });

/** The options of a command for a table of settings. Values stay text until `resolveSettings`. */
export function optionsOf(settings: Settings): Option[] {
  return Object.values(settings).map(({ flags, description, initial }) => {
    return new Option(flags, initial === undefined ? description : `${description} (default: ${initial})`);
  });
}

/** `batchSize` → `DLCOURSE_BATCH_SIZE` */
export const environmentName = (key: string): string => `DLCOURSE_${key.replace(/[A-Z]/g, c => `_${c}`).toUpperCase()}`;

/** Values that a command works out for itself, as written, and what they count as. */
export interface Proposed {
  readonly origin: 'recipe' | 'default';
  readonly values: Readonly<Record<string, string>>;
}

/**
 * Flag before environment before config before what is proposed before default; every value is checked, with the place
 * it came from.
 */
export function resolveSettings<S extends Settings>(
  settings: S,
  flags: Readonly<Record<string, unknown>>,
  config: { readonly path: string; readonly values: Readonly<Record<string, string>> } | undefined,
  env: NodeJS.ProcessEnv = process.env,
  proposed?: Proposed,
): Resolved<S> {
  const values: Record<string, unknown> = {};
  const written: Record<string, string> = {};
  const origins: Record<string, Origin> = {};
  for (const [key, { flags: flag, kind, initial }] of Object.entries(settings)) {
    const variable = environmentName(key);
    const sources: [Origin, string | undefined, string][] = [
      ['flag', flags[key] === undefined ? undefined : String(flags[key]), flag.split(' ')[0]!],
      ['environment', env[variable] || undefined, variable],
      ['config', config?.values[key], `${config?.path}: ${key}`],
      [proposed?.origin ?? 'recipe', proposed?.values[key], `${proposed?.origin}: ${key}`],
      ['default', initial, key],
    ];
    const found = sources.find(([, text]) => text !== undefined);
    if (!found) continue;
    const [origin, text, where] = found;
    values[key] = readValue(kind, text!, where);
    written[key] = text!;
    origins[key] = origin;
  }
  return { values: values as Values<S>, written, origins };
}

/** What a run keeps of its settings: `--config` reads it back. */
export function configOf(settings: Settings, { written, origins }: Resolved<Settings>): Record<string, unknown> {
  const kept = Object.keys(written).filter(key => !settings[key]!.once);
  return {
    values: Object.fromEntries(kept.map(key => [key, jsonValue(written[key]!)])),
    origins: Object.fromEntries(kept.map(key => [key, origins[key]])),
  };
}

/** Numbers and booleans as JSON has them, where nothing is lost by it. */
function jsonValue(text: string): string | number | boolean {
  if (text === 'true' || text === 'false') return text === 'true';
  return String(Number(text)) === text ? Number(text) : text;
}

/**
 * Reads a config file: the `config.json` of a run, or an object of settings alone.
 * Values are written as on the command line, or as JSON's numbers, booleans and lists.
 * Throws E_CONFIG for what is no such file, or an unknown key, with the nearest.
 */
export async function readConfig(
  path: string,
  settings: Settings,
): Promise<{ path: string; values: Record<string, string> }> {
  const content = await readFile(path, 'utf8').catch(error => {
    throw readError(path, error);
  });
  let config: unknown;
  try {
    config = JSON.parse(content);
  } catch (error) {
    throw configError(path, `expected JSON, got ${(error as Error).message}`);
  }
  if (!isRecord(config)) throw configError(path, 'expected an object of settings, got something else');
  const given = isRecord(config['values']) ? config['values'] : config;
  const values: Record<string, string> = {};
  for (const [key, value] of Object.entries(given)) {
    if (!Object.hasOwn(settings, key)) {
      const near = nearest(key, Object.keys(settings));
      throw configError(
        path,
        `expected names of settings, got '${key}'`,
        near ? `did you mean '${near}'?` : "see 'dlcourse train --help'",
      );
    }
    if (value === null) continue;
    const simple = ['string', 'number', 'boolean'].includes(typeof value) || Array.isArray(value);
    if (!simple) throw configError(`${path}: ${key}`, 'expected text, a number, true or false, got an object');
    values[key] = String(value);
  }
  return { path, values };
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const configError = (where: string, problem: string, hint?: string): DlcourseError =>
  new DlcourseError({ code: 'E_CONFIG', class: 'usage', where, problem, ...(hint ? { hint } : {}) });
