// All layers, as a model's author writes them.

export * from './basic.js';
export * from './convolution.js';
export { type Initializer, type InitializerName, initializerNames } from './initializers.js';
export type { LayerNode, StateSpec } from './layer.js';
export { type Block, Model, type ModelConfig, named, seq, sideOutput, type Tensor } from './model.js';
export * from './normalization.js';
export * from './pooling.js';
export { excitation, type ModelOptions, withOptions } from './rewrite.js';
export { type LayerSummary, type Summary, showSummary, summarize } from './summary.js';
