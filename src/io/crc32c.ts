// Two checksums of 32 bits: CRC32C (Castagnoli, RFC 3720 appendix B.4), which every tensor of our files carries, and
// CRC-32 (IEEE 802.3), which the entries of zip archives carry.

const slices = 16;

/** `tables[256 * k + b]`: the checksum of byte `b` followed by `k` zero bytes. The polynomials are bit-reversed. */
const castagnoli = buildTables(0x82f63b78);
const ieee = buildTables(0xedb88320);

/**
 * CRC32C of `bytes`, as an unsigned 32-bit number. A long message can be given in pieces: pass the result for the
 * pieces so far as `previous`.
 *
 * Slicing-by-16 (Kounavis and Berry, "Novel Table Lookup-Based Algorithms for High-Performance CRC Generation", 2008):
 * sixteen bytes a step, read as four words.
 */
export function crc32c(bytes: Uint8Array, previous = 0): number {
  return checksum(castagnoli, bytes, previous);
}

/** CRC-32 of `bytes` in the same manner. */
export function crc32(bytes: Uint8Array, previous = 0): number {
  return checksum(ieee, bytes, previous);
}

function checksum(t: Int32Array, bytes: Uint8Array, previous: number): number {
  let crc = ~previous;
  let i = 0;
  const length = bytes.length;
  for (; i < length && ((bytes.byteOffset + i) & 3) !== 0; i++) crc = t[(crc ^ bytes[i]) & 255] ^ (crc >>> 8);

  const steps = (length - i) >>> 4;
  const words = steps > 0 ? new Int32Array(bytes.buffer, bytes.byteOffset + i, steps * 4) : new Int32Array(0);
  for (let w = 0; w < words.length; w += 4) {
    const a = words[w] ^ crc;
    const b = words[w + 1];
    const c = words[w + 2];
    const d = words[w + 3];
    crc =
      t[3840 + (a & 255)] ^
      t[3584 + ((a >>> 8) & 255)] ^
      t[3328 + ((a >>> 16) & 255)] ^
      t[3072 + (a >>> 24)] ^
      t[2816 + (b & 255)] ^
      t[2560 + ((b >>> 8) & 255)] ^
      t[2304 + ((b >>> 16) & 255)] ^
      t[2048 + (b >>> 24)] ^
      t[1792 + (c & 255)] ^
      t[1536 + ((c >>> 8) & 255)] ^
      t[1280 + ((c >>> 16) & 255)] ^
      t[1024 + (c >>> 24)] ^
      t[768 + (d & 255)] ^
      t[512 + ((d >>> 8) & 255)] ^
      t[256 + ((d >>> 16) & 255)] ^
      t[d >>> 24];
  }
  i += steps * 16;
  for (; i < length; i++) crc = t[(crc ^ bytes[i]) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

function buildTables(polynomial: number): Int32Array {
  const t = new Int32Array(256 * slices);
  for (let b = 0; b < 256; b++) {
    let crc = b;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? polynomial : 0);
    t[b] = crc;
  }
  for (let i = 256; i < t.length; i++) t[i] = t[t[i - 256] & 255] ^ (t[i - 256] >>> 8);
  return t;
}
