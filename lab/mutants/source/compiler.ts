import ts from 'typescript-6';
import { applied, type Mutant } from './generate.ts';

/** An unused name shows no mistake of the mutant: dropping one side of a condition often leaves one. */
const unused = new Set([6133, 6192, 6196, 6198, 7027]);

/**
 * Type-checks all mutants in one program: each is a neighbour of its file under a name of its own. What they import is
 * checked once for all.
 *
 * @returns the first error of each mutant that does not compile
 */
export function errorsOf(
  root: string,
  mutants: readonly Mutant[],
  textOf: (file: string) => string,
): ReadonlyMap<Mutant, string> {
  const copies = new Map<string, string>();
  const place = (file: string, name: string): string => `${root}/${file.replace(/\.ts$/, `.${name}.ts`)}`;
  for (const file of new Set(mutants.map((mutant) => mutant.file))) copies.set(place(file, 'copy'), textOf(file));
  const names = new Map(mutants.map((mutant, index) => [mutant, place(mutant.file, `mutant-${index}`)]));
  for (const [mutant, name] of names) copies.set(name, applied(textOf(mutant.file), mutant));
  const program = programOf(root, copies);
  const errorIn = (name: string): string | undefined => {
    const found = program.getSemanticDiagnostics(program.getSourceFile(name)).find(({ code }) => !unused.has(code));
    return found === undefined ? undefined : ts.flattenDiagnosticMessageText(found.messageText, ' ');
  };
  for (const name of copies.keys()) {
    const error = name.endsWith('.copy.ts') ? errorIn(name) : undefined;
    if (error !== undefined) throw new Error(`An unchanged copy, ${name}, does not compile: ${error}`);
  }
  const errors = new Map<Mutant, string>();
  for (const [mutant, name] of names) {
    const error = errorIn(name);
    if (error !== undefined) errors.set(mutant, error);
  }
  return errors;
}

function programOf(root: string, copies: ReadonlyMap<string, string>): ts.Program {
  const config = ts.readConfigFile(`${root}/tsconfig.json`, (path) => ts.sys.readFile(path));
  const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, root);
  const host = ts.createCompilerHost({ ...options, noEmit: true });
  const plain = ts.createCompilerHost({ ...options, noEmit: true });
  host.fileExists = (path) => copies.has(path) || plain.fileExists(path);
  host.readFile = (path) => copies.get(path) ?? plain.readFile(path);
  host.getSourceFile = (path, language, ...more) => {
    const text = copies.get(path);
    return text === undefined
      ? plain.getSourceFile(path, language, ...more)
      : ts.createSourceFile(path, text, language, true);
  };
  return ts.createProgram({ rootNames: [...copies.keys()], options: { ...options, noEmit: true }, host });
}
