// Tests run on what is built: dist/test, beside dist/src, dist/cli and the program in dist/bin.
export default {
  rootDir: '.',
  roots: ['<rootDir>/dist/test'],
  testMatch: ['<rootDir>/dist/test/**/*.test.js'],
  transform: {},
  testEnvironment: 'node',
  maxWorkers: 2,
  testTimeout: 60_000,
};
