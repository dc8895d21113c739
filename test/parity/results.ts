// What is known of parity: docs/parity.json, and the table that docs/parity.md shows of it.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/package.js';
import type { Network } from '../../src/zoo/zoo.js';
import { table } from '../tools/markdown.js';

export interface Differences {
  /** Largest difference of the logits, in units of the largest logit. */
  readonly logits: number;
  /** Largest relative difference of the losses and the running statistics of three steps. */
  readonly steps: number;
}

/** One network in one form against its reference. */
export interface ParityResult {
  readonly network: string;
  readonly form: string;
  readonly reference: string;
  readonly layout: string;
  /** Sides of the inputs that the logits and the steps were compared with. */
  readonly full: number;
  readonly side: number;
  /** Convolutions summed as they are, and with Winograd's transforms where these pay. */
  readonly exact: Differences;
  readonly winograd: Differences;
  /** PyTorch's own difference between logits in float32 and in float64. */
  readonly pytorch: number;
  /** Of the steps. */
  readonly allowed: number;
  readonly passed: boolean;
  /** Whether names and shapes alone tell the network: yes, no, ambiguous, or as another. */
  readonly recognised: string;
  readonly torch: string;
  readonly date: string;
}

export const LOGITS = 1e-4;
export const STEPS = 1e-4;
/** How many times PyTorch's own difference the logits may be off with Winograd's transforms, where that is more. */
export const WINOGRAD_FACTOR = 2;
/** How many times PyTorch's own difference between float32 and float64 the steps may be off. */
export const FACTOR = 4;

const file = join(packageRoot, 'docs/parity.json');

export const readResults = (): ParityResult[] => JSON.parse(readFileSync(file, 'utf8')) as ParityResult[];

const key = (r: { network: string; form: string }): string => `${r.network} ${r.form}`;

/** Takes a result in, in place of an earlier one of the same pair. */
export function keepResult(result: ParityResult): void {
  const others = readResults().filter(r => key(r) !== key(result));
  const all = [...others, result].sort((a, b) => (key(a) < key(b) ? -1 : 1));
  writeFileSync(file, `[\n${all.map(r => `  ${JSON.stringify(r)}`).join(',\n')}\n]\n`);
}

const both = ({ exact, winograd }: ParityResult, what: keyof Differences): string =>
  [exact, winograd].map(mode => mode[what].toExponential(1)).join(' / ');

/** The table of docs/parity.md, in the order of the zoo. */
export function parityTable(results: readonly ParityResult[], networks: readonly Network[]): string {
  const known = new Map(results.map(r => [key(r), r]));
  const pairs = networks.flatMap(n => Object.keys(n.forms).map(form => ({ network: n.name, form })));
  const compared = pairs.flatMap(p => known.get(key(p)) ?? []);
  const passed = compared.filter(r => r.passed).length;
  const lines = compared.map(r => [
    `\`${r.network}\``,
    r.form,
    `${r.reference}${r.layout === 'own' ? '' : ` (names: ${r.layout})`}`,
    `${r.full}`,
    `${both(r, 'logits')} (${r.pytorch.toExponential(1)})`,
    `${r.side}`,
    `${both(r, 'steps')} (${r.allowed.toExponential(1)})`,
    r.passed ? 'yes' : '**no**',
    r.recognised,
  ]);
  const missing = pairs.filter(p => !known.has(key(p))).map(p => `\`${p.network}\` (${p.form})`);
  const head = [
    'network',
    'form',
    'reference',
    'side',
    'logits (PyTorch)',
    'side',
    'steps (allowed)',
    'passed',
    'recognised',
  ];
  return [
    `**${passed} of ${pairs.length} network × form pairs passed.**`,
    ...(missing.length > 0 ? [`Not compared: ${missing.join(', ')}.`] : []),
    table(head, lines),
  ].join('\n\n');
}
