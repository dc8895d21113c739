// Initial values, by name. Drawn from a generator keyed by (seed, path): order of creation does not matter.

/** A rule for a tensor's initial values. `fanIn` and `fanOut` count the weights into and out of one unit. */
export type Initializer =
  | { readonly kind: 'constant'; readonly value: number }
  /** Kaiming He et al. 2015, Delving deep: N(0, gain² / fan). */
  | { readonly kind: 'kaiming_normal'; readonly fan: number; readonly gain: number }
  /** U(−gain·√(3/fan), gain·√(3/fan)). */
  | { readonly kind: 'kaiming_uniform'; readonly fan: number; readonly gain: number }
  /** Glorot & Bengio 2010: U(−√(6/(fanIn + fanOut)), …). */
  | { readonly kind: 'xavier_uniform'; readonly fanIn: number; readonly fanOut: number }
  | { readonly kind: 'normal'; readonly std: number }
  | { readonly kind: 'uniform'; readonly bound: number }
  /** [kh, kw, inputs, outputs]: the first outputs are the inputs' middle pixels, the others U(−bound, bound). */
  | { readonly kind: 'partial_identity'; readonly shape: readonly number[]; readonly bound: number };

/** How weights of convolutions and linear layers begin, by name. */
export const initializerNames = [
  'default',
  'kaiming_normal',
  'kaiming_fan_out',
  'xavier_uniform',
  'normal_0.01',
  'partial_identity',
] as const;
export type InitializerName = (typeof initializerNames)[number];

/**
 * - `default`: PyTorch's, kaiming uniform with a = √5, that is U(−1/√fanIn, 1/√fanIn)
 * - `kaiming_normal`: N(0, 2/fanIn), the ResNet paper's
 * - `kaiming_fan_out`: N(0, 2/fanOut), torchvision's ResNet
 * - `xavier_uniform`: Glorot's
 * - `normal_0.01`: N(0, 0.01²), AlexNet's and VGG's linear layers
 * - `partial_identity`: the first outputs are the inputs (in a convolution: their middle pixel), the others as in
 *   `default` (Jordan 2024, section 3.3)
 *
 * @param shape [kh, kw, inputs of one group, outputs]; linear layers have [1, 1, inputs, outputs]
 */
export function weightInitializer(name: InitializerName, shape: readonly number[]): Initializer {
  const [kh, kw, inputs, outputs] = shape as readonly [number, number, number, number];
  const fanIn = kh * kw * inputs;
  // As PyTorch counts: all output channels, also of grouped convolutions.
  const fanOut = kh * kw * outputs;
  switch (name) {
    case 'default':
      return { kind: 'uniform', bound: 1 / Math.sqrt(fanIn) };
    case 'kaiming_normal':
      return { kind: 'kaiming_normal', fan: fanIn, gain: Math.SQRT2 };
    case 'kaiming_fan_out':
      return { kind: 'kaiming_normal', fan: fanOut, gain: Math.SQRT2 };
    case 'xavier_uniform':
      return { kind: 'xavier_uniform', fanIn, fanOut };
    case 'normal_0.01':
      return { kind: 'normal', std: 0.01 };
    case 'partial_identity':
      return { kind: 'partial_identity', shape, bound: 1 / Math.sqrt(fanIn) };
  }
}

export const zeros: Initializer = { kind: 'constant', value: 0 };
export const ones: Initializer = { kind: 'constant', value: 1 };

/** Values of a tensor of `length` elements, the same for the same seed and path. */
export function initialValues(initializer: Initializer, length: number, seed: number, path: string): Float32Array {
  const values = new Float32Array(length);
  if (initializer.kind === 'constant') return values.fill(initializer.value);
  const random = generator(seed, path);
  const uniform = (bound: number): void => {
    for (let i = 0; i < length; i++) values[i] = (2 * random() - 1) * bound;
  };
  const normal = (std: number): void => {
    for (let i = 0; i < length; i += 2) {
      // Box & Muller 1958. 1 − u keeps the logarithm's argument above 0.
      const radius = std * Math.sqrt(-2 * Math.log(1 - random()));
      const angle = 2 * Math.PI * random();
      values[i] = radius * Math.cos(angle);
      if (i + 1 < length) values[i + 1] = radius * Math.sin(angle);
    }
  };
  switch (initializer.kind) {
    case 'kaiming_normal':
      normal(initializer.gain / Math.sqrt(initializer.fan));
      break;
    case 'kaiming_uniform':
      uniform(initializer.gain * Math.sqrt(3 / initializer.fan));
      break;
    case 'xavier_uniform':
      uniform(Math.sqrt(6 / (initializer.fanIn + initializer.fanOut)));
      break;
    case 'normal':
      normal(initializer.std);
      break;
    case 'uniform':
      uniform(initializer.bound);
      break;
    case 'partial_identity': {
      uniform(initializer.bound);
      const [kh, kw, inputs, outputs] = initializer.shape as readonly [number, number, number, number];
      const middle = Math.floor(kh / 2) * kw + Math.floor(kw / 2);
      for (let o = 0; o < Math.min(inputs, outputs); o++) {
        for (let k = 0; k < kh * kw * inputs; k++) values[k * outputs + o] = k === middle * inputs + o ? 1 : 0;
      }
      break;
    }
  }
  return values;
}

/** 32-bit FNV-1a of a text: keys of generators and masks. */
export function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    hash ^= text.charCodeAt(i);
    hash = Math.imul(hash, 0x01000193);
  }
  return hash >>> 0;
}

/** Uniform numbers in [0, 1) with 32 random bits: sfc32 (Doty-Humphrey, PractRand), keyed by seed and name. */
export function generator(seed: number, name: string): () => number {
  let a = seed >>> 0;
  let b = Math.floor(seed / 0x100000000) >>> 0;
  let c = hash32(name);
  let counter = 1;
  const next = (): number => {
    const out = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + out;
    c |= 0;
    return (out >>> 0) / 0x100000000;
  };
  for (let i = 0; i < 12; i++) next();
  return next;
}
