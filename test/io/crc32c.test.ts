import { describe, expect, test } from '@jest/globals';
import { crc32c } from '../../src/io/crc32c.js';
import { randomWords } from './fixture.js';

// RFC 3720 appendix B.4, and the check value of the CRC catalogue.
const vectors: [string, Uint8Array, number][] = [
  ['nothing', new Uint8Array(0), 0],
  ['"123456789"', Buffer.from('123456789'), 0xe3069283],
  ['32 bytes of zeros', new Uint8Array(32), 0x8a9136aa],
  ['32 bytes of ones', new Uint8Array(32).fill(0xff), 0x62a8ab43],
  ['0..31', Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
  ['31..0', Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
];

/** Bit by bit, from the definition. */
function reference(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

describe('crc32c', () => {
  test.each(vectors)('gives the published value for %s', (_, bytes, expected) => {
    expect(crc32c(bytes)).toBe(expected);
  });

  test('agrees with the definition for every length to 100 at every alignment', () => {
    const words = randomWords(1);
    const buffer = Uint8Array.from({ length: 120 }, () => words.next().value >>> 24);
    for (let offset = 0; offset < 8; offset++) {
      for (let length = 0; length <= 100; length++) {
        const bytes = buffer.subarray(offset, offset + length);
        expect(crc32c(bytes)).toBe(reference(bytes));
      }
    }
  });

  test('goes on from the checksum of the bytes before', () => {
    const bytes = Buffer.from('The quick brown fox jumps over the lazy dog, twice and once more');
    for (let cut = 0; cut <= bytes.length; cut++) {
      expect(crc32c(bytes.subarray(cut), crc32c(bytes.subarray(0, cut)))).toBe(crc32c(bytes));
    }
  });
});
