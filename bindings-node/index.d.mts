// Owns: the same types, for `import`.
export * from './index.js'
