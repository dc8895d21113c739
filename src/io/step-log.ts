// Append-only logs of a run, one record a line, as JSON lines or CSV; a resumed run cuts them back to its checkpoint.

import { DlcourseError } from '../errors.js';
import { type Chunks, writeFileDurably } from './durable.js';
import {
  type FileSystem,
  nodeFileSystem,
  openForReading,
  readError,
  readFully,
  writeError,
  writeFully,
} from './filesystem.js';

/** A record of a log: the step it belongs to, and plain values. */
export type LogRecord = { step: number } & Record<string, unknown>;

interface LineFormat {
  /** The first line of the file, if it has one. */
  header?: string;
  encode(record: LogRecord): string;
  /** The step of a complete line; undefined if it is no record. */
  step(line: string): number | undefined;
}

/**
 * A log with one line a record. Lines are appended in the order of the calls; a crash can leave a torn last line, which
 * {@link truncateAfter} and the next opening remove.
 */
export class StepLog {
  private pending: Promise<void> = Promise.resolve();

  private constructor(
    readonly path: string,
    private readonly format: LineFormat,
    private readonly fs: FileSystem,
  ) {}

  /** Opens `path` for appending JSON lines, creating it if need be. Errors: `E_READ`, `E_WRITE`. */
  static jsonl(path: string, fs: FileSystem = nodeFileSystem): Promise<StepLog> {
    return StepLog.open(path, { encode: record => JSON.stringify(record), step: jsonStep }, fs);
  }

  /** Opens `path` for appending CSV with these columns (`step` among them); records may lack some. Errors: `E_LOG_COLUMNS`. */
  static csv(path: string, columns: readonly string[], fs: FileSystem = nodeFileSystem): Promise<StepLog> {
    const stepColumn = columns.indexOf('step');
    if (stepColumn < 0) throw new RangeError(`StepLog.csv: expected a column 'step', got ${columns.join(', ')}`);
    const format = {
      header: csvRow(columns),
      encode: (record: LogRecord) => csvRow(columns.map(column => record[column])),
      step: (line: string) => wholeNumber(csvFields(line)?.[stepColumn]),
    };
    return StepLog.open(path, format, fs);
  }

  private static async open(path: string, format: LineFormat, fs: FileSystem): Promise<StepLog> {
    const log = new StepLog(path, format, fs);
    await log.truncateAfter(Number.POSITIVE_INFINITY);
    return log;
  }

  /** Adds one record at the end. A record whose text would span lines is written on one. Errors: `E_WRITE`. */
  append(record: LogRecord): Promise<void> {
    return this.queue(async () => {
      const file = await this.fs.open(this.path, 'a');
      try {
        const { size } = await file.stat();
        await writeFully(file, Buffer.from(`${this.format.encode(record)}\n`), size);
      } finally {
        await file.close();
      }
    });
  }

  /** Removes all records after `step`, and lines that are no records; the rest is kept byte for byte. Errors: `E_WRITE`. */
  truncateAfter(step: number): Promise<void> {
    return this.queue(async () => {
      const current = await this.read();
      const text = current ?? '';
      const { header } = this.format;
      const first = text.slice(0, Math.max(0, text.indexOf('\n')));
      if (header !== undefined && first !== '' && first !== header) {
        throw new DlcourseError({
          code: 'E_LOG_COLUMNS',
          class: 'mismatch',
          where: `${this.path}: line 1`,
          problem: `expected the columns ${header}, got ${first.slice(0, 200)}`,
          hint: 'move the file away or log to another folder',
        });
      }
      const body = header === undefined ? text : text.slice(text.indexOf('\n') + 1);
      const complete = body
        .slice(0, body.lastIndexOf('\n') + 1)
        .split('\n')
        .slice(0, -1);
      const kept = complete.filter(line => (this.format.step(line) ?? Number.NaN) <= step);
      const wanted = [...(header === undefined ? [] : [header]), ...kept].map(line => `${line}\n`).join('');
      if (wanted !== current) await writeFileDurably(this.path, wanted, { fs: this.fs });
    });
  }

  /** The whole file, or undefined if there is none. */
  private async read(): Promise<string | undefined> {
    const opened = await openForReading(this.path, this.fs).catch(error => {
      if (error.code === 'E_NOT_FOUND') return undefined;
      throw error;
    });
    if (!opened) return undefined;
    try {
      const bytes = new Uint8Array(opened.size);
      return Buffer.from(bytes.subarray(0, await readFully(opened.file, bytes, 0))).toString('utf8');
    } catch (error) {
      throw readError(this.path, error);
    } finally {
      await opened.file.close().catch(() => {});
    }
  }

  private queue(action: () => Promise<void>): Promise<void> {
    const result = this.pending.then(action).catch(error => {
      throw error instanceof DlcourseError ? error : writeError(this.path, 'append a record', error);
    });
    this.pending = result.catch(() => {});
    return result;
  }
}

/** One line of CSV (RFC 4180): quoted where needed, line breaks as blanks, missing values empty. */
export function csvRow(values: readonly unknown[]): string {
  return values.map(csvField).join(',');
}

/** A whole CSV file. Errors: `E_WRITE`. */
export async function writeCsv(
  path: string,
  columns: readonly string[],
  rows: Iterable<readonly unknown[]>,
): Promise<void> {
  const chunks: Chunks = [csvRow(columns), ...[...rows].map(csvRow)].map(row => Buffer.from(`${row}\n`));
  await writeFileDurably(path, chunks);
}

function csvField(value: unknown): string {
  if (value === undefined || value === null) return '';
  const text = String(value).replace(/[\r\n]+/g, ' ');
  return /[",]/.test(text) || text !== text.trim() ? `"${text.replaceAll('"', '""')}"` : text;
}

/** The fields of one line, or undefined if a quote is left open. */
function csvFields(line: string): string[] | undefined {
  const fields: string[] = [];
  let rest = `,${line}`;
  while (rest !== '') {
    const match = /^,(?:"((?:[^"]|"")*)"|([^",]*))(?=,|$)/.exec(rest);
    if (!match) return undefined;
    fields.push(match[1]?.replaceAll('""', '"') ?? match[2]);
    rest = rest.slice(match[0].length);
  }
  return fields;
}

function jsonStep(line: string): number | undefined {
  try {
    return wholeNumber(String((JSON.parse(line) as { step?: unknown } | null)?.step));
  } catch {
    return undefined;
  }
}

function wholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}
