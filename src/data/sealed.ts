// Cache files: a JSON header and bytes under one checksum, so that damage reads as absence.

import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { writeFileDurably } from '../io/durable.js';
import { nodeFileSystem, openForReading, readFully } from '../io/filesystem.js';

// Layout: magic (8) · header length, u32 LE · SHA-256 of the rest (32) · header, JSON in UTF-8 · sections, one after
// another, whose lengths the reader knows from the header.
const magic = Buffer.from('DLCCACH1', 'latin1');
const start = magic.length + 4 + 32;

/** Writes a cache file all or nothing. */
export async function writeSealed(file: string, header: unknown, sections: readonly Uint8Array[] = []): Promise<void> {
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(json.length);
  const hash = createHash('sha256').update(json);
  for (const section of sections) hash.update(section);
  await mkdir(path.dirname(file), { recursive: true });
  await writeFileDurably(file, [magic, length, hash.digest(), json, ...sections]);
}

export type Sealed<T> = { header: T; sections: Uint8Array[] };

/**
 * Reads a cache file back.
 *
 * @param lengths the sections' byte counts, from the header; undefined if the header isn't what the caller needs.
 * @returns undefined when there is no such file, `'damaged'` when it isn't what was written.
 */
export async function readSealed<T>(
  file: string,
  lengths: (header: T) => number[] | undefined,
): Promise<Sealed<T> | 'damaged' | undefined> {
  const opened = await openForReading(file, nodeFileSystem).catch(() => undefined);
  if (!opened) return undefined;
  try {
    const front = Buffer.alloc(start);
    if ((await readFully(opened.file, front, 0)) < start || !front.subarray(0, 8).equals(magic)) return 'damaged';
    const jsonLength = front.readUInt32LE(8);
    if (jsonLength > opened.size - start) return 'damaged';
    const json = Buffer.alloc(jsonLength);
    await readFully(opened.file, json, start);
    const header = JSON.parse(json.toString('utf8')) as T;
    const wanted = lengths(header);
    const valid = wanted?.every(n => Number.isSafeInteger(n) && n >= 0);
    if (!valid || wanted!.reduce((sum, n) => sum + n, start + jsonLength) !== opened.size) return 'damaged';
    const hash = createHash('sha256').update(json);
    const sections: Uint8Array[] = [];
    let position = start + jsonLength;
    for (const length of wanted!) {
      const section = new Uint8Array(length);
      if ((await readFully(opened.file, section, position)) < length) return 'damaged';
      hash.update(section);
      sections.push(section);
      position += length;
    }
    return hash.digest().equals(front.subarray(12, start)) ? { header, sections } : 'damaged';
  } catch {
    return 'damaged';
  } finally {
    await opened.file.close().catch(() => {});
  }
}
