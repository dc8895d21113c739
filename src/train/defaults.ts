// What `dlcourse train` does when it is told nothing: the one place where the default run is described.

/** Written as on the command line. */
export const defaultRun = {
  model: 'resnet20',
  data: 'stickers',
  epochs: '16',
  batchSize: '64',
  optimizer: 'sgd',
  lr: '0.1',
  weightDecay: '0.0005',
  momentum: '0.9',
  clip: '1',
  schedule: 'one_cycle',
  augment: 'crop=4,flip',
  seed: '1',
  saveEvery: '10m',
} as const;
