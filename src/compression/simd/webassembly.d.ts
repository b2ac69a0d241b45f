/** What is used of WebAssembly here: TypeScript declares it only together with a browser's whole DOM. */
declare namespace WebAssembly {
  interface Memory {
    readonly buffer: ArrayBuffer;
  }
  type Module = object;
  interface Instance {
    readonly exports: Record<string, unknown>;
  }
  const Memory: new (descriptor: { initial: number; maximum: number }) => Memory;
  const Module: new (bytes: Uint8Array) => Module;
  const Instance: new (module: Module, imports: Record<string, Record<string, Memory>>) => Instance;
  function validate(bytes: Uint8Array): boolean;
}
