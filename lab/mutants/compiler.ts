import ts from 'typescript-6';

/** An unused name shows no mistake of the mutant: dropping one side of a condition often leaves one. */
const unused = new Set([6133, 6192, 6196, 6198, 7027]);

/** Type-checks one changed file at a time, with everything else as it is. */
export class Compiler {
  readonly #root: string;
  readonly #changed = new Map<string, { text: string; version: number }>();
  readonly #service: ts.LanguageService;
  #version = 0;

  constructor(root: string) {
    this.#root = root;
    const { sys } = ts;
    const read = (path: string): string | undefined => sys.readFile(path);
    const config = ts.readConfigFile(`${root}/tsconfig.json`, read);
    const { options, fileNames } = ts.parseJsonConfigFileContent(config.config, sys, root);
    const sources = fileNames.filter((name) => name.startsWith(`${root}/src/vault/`));
    this.#service = ts.createLanguageService({
      getCompilationSettings: () => ({ ...options, noEmit: true }),
      getScriptFileNames: () => sources,
      getScriptVersion: (name) => String(this.#changed.get(name)?.version ?? 0),
      getScriptSnapshot: (name) => {
        const text = this.#changed.get(name)?.text ?? read(name);
        return text === undefined ? undefined : ts.ScriptSnapshot.fromString(text);
      },
      getCurrentDirectory: () => root,
      getDefaultLibFileName: (chosen) => ts.getDefaultLibFilePath(chosen),
      fileExists: (path) => sys.fileExists(path),
      readFile: read,
      readDirectory: (...where) => sys.readDirectory(...where),
      directoryExists: (path) => sys.directoryExists(path),
      getDirectories: (path) => sys.getDirectories(path),
    });
  }

  /** The first error of a changed file. Undefined if it compiles. */
  errorIn(file: string, text: string): string | undefined {
    const name = `${this.#root}/${file}`;
    this.#version += 1;
    this.#changed.set(name, { text, version: this.#version });
    const found = this.#service.getSemanticDiagnostics(name).find(({ code }) => !unused.has(code));
    return found === undefined ? undefined : ts.flattenDiagnosticMessageText(found.messageText, ' ');
  }

  /** Takes back the change of a file. */
  restore(file: string): void {
    this.#changed.delete(`${this.#root}/${file}`);
  }
}
