import ts from 'typescript-6';
import type { Difference } from '../worker/switch.ts';
import type { Mutant, MutantKind } from './generate.ts';
import { isPure } from './pure.ts';

/** A mutant and the number by which the switch knows it, from 1. */
export interface Numbered {
  readonly id: number;
  readonly mutant: Mutant;
}

/** A piece of the text with its mutants, and the pieces inside it. */
interface Place {
  readonly start: number;
  readonly end: number;
  readonly mutants: Numbered[];
  readonly inner: Place[];
}

/**
 * Writes all mutants of a file into its text, each behind the switch. Lines keep their numbers. The result runs, but
 * does not have to compile: types are only taken out.
 *
 * @param switchPath the specifier by which the file imports `switch.ts`
 */
export function withMutants(text: string, mutants: readonly Numbered[], switchPath: string): string {
  const source = ts.createSourceFile('subject.ts', text, ts.ScriptTarget.ESNext, true, ts.ScriptKind.TS);
  const conditions = conditionsOf(source);
  const root: Place = { start: 0, end: text.length, mutants: [], inner: [] };
  const inOrder = mutants.toSorted((a, b) => a.mutant.start - b.mutant.start || b.mutant.end - a.mutant.end);
  for (const each of inOrder) put(root, each);
  return `import { mutants$ } from '${switchPath}'; ${rendered(root)}`;

  function rendered(place: Place): string {
    let at = place.start;
    let plain = '';
    for (const inner of place.inner) {
      plain += text.slice(at, inner.start) + rendered(inner);
      at = inner.end;
    }
    plain += text.slice(at, place.end);
    if (place.mutants.length === 0) return plain;
    const dropped = place.mutants.find(({ mutant }) => mutant.kind === 'drop call');
    if (dropped !== undefined) return `if (mutants$.keeps(${dropped.id})) ${plain}`;
    const choices = place.mutants.map(({ id, mutant }) => `mutants$.active === ${id} ? (${mutant.to}) : `);
    return `(${choices.join('')}mutants$.note((${plain}), [${place.mutants.map(watchOf).join(', ')}]))`;
  }

  function watchOf({ id, mutant }: Numbered): string {
    const when = differenceOf(mutant, conditions.has(`${mutant.start} ${mutant.end}`));
    const asks = when === 'if other' || when === 'if turned';
    return asks ? `[${id}, '${when}', () => (${mutant.to})]` : `[${id}, '${when}']`;
  }
}

/** Ranges of syntax lie inside one another or apart. */
function put(into: Place, each: Numbered): void {
  const { start, end } = each.mutant;
  const holder = into.inner.find((inner) => inner.start <= start && end <= inner.end);
  if (holder === undefined) into.inner.push({ start, end, mutants: [each], inner: [] });
  else if (holder.start === start && holder.end === end) holder.mutants.push(each);
  else put(holder, each);
}

const compared: ReadonlySet<MutantKind> = new Set(['swap', 'drop side', 'boundary', 'drop arithmetic']);

/** Text with an effect of its own makes a difference whenever it is reached: a mutant may leave it out. */
function differenceOf({ kind, from }: Mutant, isCondition: boolean): Difference {
  if (!isPure(from)) return 'always';
  if (kind === 'false') return 'if truthy';
  if (kind === 'true') return 'if falsy';
  if (!compared.has(kind)) return 'always';
  return isCondition ? 'if turned' : 'if other';
}

/** The ranges of which only the truth matters: whole conditions, and sides of them. */
function conditionsOf(source: ts.SourceFile): ReadonlySet<string> {
  const found = new Set<string>();
  const add = (node: ts.Expression): void => {
    found.add(`${node.getStart(source)} ${node.getEnd()}`);
    if (ts.isParenthesizedExpression(node)) add(node.expression);
    else if (ts.isPrefixUnaryExpression(node) && node.operator === ts.SyntaxKind.ExclamationToken) add(node.operand);
    else if (ts.isBinaryExpression(node) && isLogic(node.operatorToken.kind)) {
      add(node.left);
      add(node.right);
    }
  };
  const visit = (node: ts.Node): void => {
    if (ts.isIfStatement(node) || ts.isWhileStatement(node)) add(node.expression);
    if (ts.isConditionalExpression(node)) add(node.condition);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

function isLogic(kind: ts.SyntaxKind): boolean {
  return kind === ts.SyntaxKind.AmpersandAmpersandToken || kind === ts.SyntaxKind.BarBarToken;
}
