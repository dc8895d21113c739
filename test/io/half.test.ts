import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from '../../src/io/half.js';
import { fixture, randomWords } from './fixture.js';

const all = Uint16Array.from({ length: 65536 }, (_, i) => i);
const digests = JSON.parse(Buffer.from(fixture('half.json')).toString());

/** From the definition of IEEE 754: (−1)^s · 2^(e − bias) · 1.f, subnormals 2^(1 − bias) · 0.f. */
function definedValue(pattern: number, exponentBits: number, fractionBits: number): number {
  const bias = 2 ** (exponentBits - 1) - 1;
  const sign = pattern >>> 15 ? -1 : 1;
  const exponent = (pattern >>> fractionBits) & (2 ** exponentBits - 1);
  const fraction = (pattern & (2 ** fractionBits - 1)) / 2 ** fractionBits;
  if (exponent === 2 ** exponentBits - 1) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent ? 2 ** (exponent - bias) * (1 + fraction) : 2 ** (1 - bias) * fraction);
}

function digest(patterns: Uint32Array | Uint16Array): string {
  return createHash('sha256').update(patterns).digest('hex');
}

function neighbour(value: number, towards: 1 | -1): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value);
  view.setUint32(0, view.getUint32(0) + towards);
  return view.getFloat32(0);
}

describe.each([
  ['float16', float16ToFloat32, float32ToFloat16, 5, 10, 0x7e00],
  ['bfloat16', bfloat16ToFloat32, float32ToBfloat16, 8, 7, 0x7fc0],
] as const)('%s', (name, decode, encode, exponentBits, fractionBits, quietNan) => {
  const title = name === 'float16' ? 'Float16' : 'Bfloat16';

  test('decodes every pattern as defined', () => {
    const decoded = decode(all);
    for (const pattern of all) {
      if (!Object.is(decoded[pattern], definedValue(pattern, exponentBits, fractionBits))) {
        expect([pattern, decoded[pattern]]).toEqual([pattern, definedValue(pattern, exponentBits, fractionBits)]);
      }
    }
  });

  test('decodes every pattern as NumPy or PyTorch does', () => {
    const decoded = decode(all);
    const bits = new Uint32Array(decoded.buffer).map((pattern, i) => (Number.isNaN(decoded[i]) ? 0x7fc00000 : pattern));
    expect(digest(bits)).toBe(digests[`${name}ToFloat32`]);
  });

  test('encoding returns every decoded pattern, NaN payloads included', () => {
    expect(digest(encode(decode(all)))).toBe(digest(all));
  });

  test('rounds to nearest, ties to even, between every two neighbours', () => {
    const infinity = (2 ** exponentBits - 1) << fractionBits;
    const lower = all.subarray(0, infinity); // every finite non-negative value; above the last one lies infinity
    const values = decode(lower);
    const step = values[infinity - 1] - values[infinity - 2];
    const middles = Float32Array.from(values, (v, i) => (v + (values[i + 1] ?? v + step)) / 2);
    const [down, tie, up] = [middles.map(m => neighbour(m, -1)), middles, middles.map(m => neighbour(m, 1))].map(v =>
      encode(v),
    );
    expect(digest(down)).toBe(digest(lower));
    expect(digest(up)).toBe(digest(lower.map(h => h + 1)));
    expect(digest(tie)).toBe(digest(lower.map(h => h + (h & 1))));
  });

  test('encodes 262,144 other values as NumPy or PyTorch does', () => {
    const words = randomWords(12345);
    const bits = Uint32Array.from({ length: 1 << 18 }, (_, i) => {
      const word = words.next().value;
      return i % 2 === 0 ? (word & 0x8fffffff) | 0x30000000 : word;
    });
    const singles = new Float32Array(bits.buffer);
    const encoded = encode(singles).map((pattern, i) => ((bits[i] & 0x7fffffff) > 0x7f800000 ? quietNan : pattern));
    expect(digest(encoded)).toBe(digests[`float32To${title}`]);
  });

  test('a NaN stays a NaN whatever its payload', () => {
    const payloads = Uint32Array.of(0x7f800001, 0xff800001, 0x7f801000, 0x7fc00000, 0xffffffff);
    expect([...decode(encode(new Float32Array(payloads.buffer)))]).toEqual(Array(5).fill(Number.NaN));
  });

  test('refuses a target that is too small', () => {
    expect(() => decode(all, new Float32Array(3))).toThrow('expected a target of at least 65536 values, got 3');
    expect(() => encode(new Float32Array(4), new Uint16Array(3))).toThrow(RangeError);
  });
});
