import ts from 'typescript-6';

/** One small change of one place in a source file. */
export interface Mutant {
  /** Repository path. */
  readonly file: string;
  readonly line: number;
  readonly kind: MutantKind;
  /** The text that is replaced. */
  readonly from: string;
  readonly to: string;
  readonly start: number;
  readonly end: number;
  /** Tells mutants apart although lines move: kind, text, and the count of equal ones before it. */
  readonly key: string;
}

export type MutantKind =
  /** The condition is turned round. */
  | 'negate'
  /** The condition always holds. */
  | 'true'
  /** The condition never holds: a guard is gone. */
  | 'false'
  /** `&&` and `||`. */
  | 'swap'
  /** One side of `&&` or `||` is gone. */
  | 'drop side'
  /** One `.where(…)` of a statement is gone. */
  | 'drop where'
  /** `<` and `<=`, `>` and `>=`. */
  | 'boundary'
  /** `===` and `!==` where they are a value. */
  | 'equality'
  /** A `+ 1`, `- 1`, `* n`, `/ n` or `n **` is gone. */
  | 'drop arithmetic'
  /** `Math.min` and `Math.max`. */
  | 'min max'
  /** A call that throws is gone. */
  | 'drop call';

interface Change {
  readonly node: ts.Node;
  readonly kind: MutantKind;
  readonly to: string;
}

/** Makes the mutants of a file, in the order of its text. */
export function mutantsOf(file: string, text: string): Mutant[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ESNext, true, ts.ScriptKind.TS);
  const changes: Change[] = [];
  const visit = (node: ts.Node): void => {
    changes.push(...changesOf(node, source));
    ts.forEachChild(node, visit);
  };
  visit(source);
  const counts = new Map<string, number>();
  const seen = new Set<string>();
  return changes.flatMap(({ node, kind, to }) => {
    const start = node.getStart(source);
    const end = node.getEnd();
    const from = text.slice(start, end);
    const place = `${start} ${end} ${to}`;
    if (seen.has(place)) return [];
    seen.add(place);
    const plain = `${kind}: ${from.replace(/\s+/g, ' ')} -> ${to.replace(/\s+/g, ' ')}`;
    const count = (counts.get(plain) ?? 0) + 1;
    counts.set(plain, count);
    const line = source.getLineAndCharacterOfPosition(start).line + 1;
    return [{ file, line, kind, from, to, start, end, key: count === 1 ? plain : `${plain} (${count})` }];
  });
}

export function applied(text: string, { start, end, to }: Pick<Mutant, 'start' | 'end' | 'to'>): string {
  return text.slice(0, start) + to + text.slice(end);
}

function changesOf(node: ts.Node, source: ts.SourceFile): Change[] {
  if (ts.isIfStatement(node)) return conditionChanges(node.expression, source, isGuard(node));
  if (ts.isWhileStatement(node)) return conditionChanges(node.expression, source, true);
  if (ts.isConditionalExpression(node)) return conditionChanges(node.condition, source, false);
  if (ts.isBinaryExpression(node)) return binaryChanges(node, source);
  if (ts.isCallExpression(node)) return callChanges(node, source);
  if (isNegation(node) && !isPartOfLogic(node)) return [{ node, kind: 'negate', to: node.operand.getText(source) }];
  if (ts.isExpressionStatement(node) && throwsOnly(node, source)) return [{ node, kind: 'drop call', to: ';' }];
  return [];
}

/** A guard is dropped or turned round: to make it hold always is noticed by every test that passes it. */
function conditionChanges(node: ts.Expression, source: ts.SourceFile, guards: boolean): Change[] {
  const negated: Change = { node, kind: 'negate', to: `!(${node.getText(source)})` };
  return [guards ? negated : { node, kind: 'true', to: 'true' }, { node, kind: 'false', to: 'false' }];
}

/** It only leaves: `if (…) return`, `throw`, `continue`. */
function isGuard({ thenStatement, elseStatement }: ts.IfStatement): boolean {
  const last = ts.isBlock(thenStatement) ? thenStatement.statements.at(-1) : thenStatement;
  if (last === undefined || elseStatement !== undefined) return false;
  return ts.isReturnStatement(last) || ts.isThrowStatement(last) || ts.isContinueStatement(last);
}

const boundaries = new Map([
  [ts.SyntaxKind.LessThanToken, '<='],
  [ts.SyntaxKind.LessThanEqualsToken, '<'],
  [ts.SyntaxKind.GreaterThanToken, '>='],
  [ts.SyntaxKind.GreaterThanEqualsToken, '>'],
]);
const equalities = new Map([
  [ts.SyntaxKind.EqualsEqualsEqualsToken, '!=='],
  [ts.SyntaxKind.ExclamationEqualsEqualsToken, '==='],
]);

function binaryChanges(node: ts.BinaryExpression, source: ts.SourceFile): Change[] {
  const left = node.left.getText(source);
  const right = node.right.getText(source);
  const kind = node.operatorToken.kind;
  if (kind === ts.SyntaxKind.AmpersandAmpersandToken || kind === ts.SyntaxKind.BarBarToken) {
    const other = kind === ts.SyntaxKind.BarBarToken ? '&&' : '||';
    const swapped: Change = { node, kind: 'swap', to: `(${left}) ${other} (${right})` };
    const sides: Change[] = [left, right].map((to) => ({ node, kind: 'drop side', to }));
    // In a chain of three the inner pair is dropped side by side; swapping the whole is enough.
    return isSide(node) ? sides : [swapped, ...sides];
  }
  const boundary = boundaries.get(kind);
  if (boundary !== undefined) return [{ node, kind: 'boundary', to: `${left} ${boundary} ${right}` }];
  const equality = equalities.get(kind);
  if (equality !== undefined) {
    return isPartOfLogic(node) ? [] : [{ node, kind: 'equality', to: `${left} ${equality} ${right}` }];
  }
  return arithmeticChanges(node, left);
}

function arithmeticChanges(node: ts.BinaryExpression, left: string): Change[] {
  const kind = node.operatorToken.kind;
  const plain = ts.isNumericLiteral(node.right);
  if (kind === ts.SyntaxKind.AsteriskAsteriskToken) return [{ node, kind: 'drop arithmetic', to: '1' }];
  if (!plain) return [];
  const arithmetic = [
    ts.SyntaxKind.PlusToken,
    ts.SyntaxKind.MinusToken,
    ts.SyntaxKind.AsteriskToken,
    ts.SyntaxKind.SlashToken,
  ];
  return arithmetic.includes(kind) ? [{ node, kind: 'drop arithmetic', to: left }] : [];
}

function callChanges(node: ts.CallExpression, source: ts.SourceFile): Change[] {
  const called = node.expression;
  if (!ts.isPropertyAccessExpression(called)) return [];
  const name = called.name.text;
  const owner = called.expression.getText(source);
  if (name === 'where') return [{ node, kind: 'drop where', to: owner }];
  if (owner === 'Math' && (name === 'min' || name === 'max')) {
    return [{ node: called, kind: 'min max', to: `Math.${name === 'min' ? 'max' : 'min'}` }];
  }
  return [];
}

function isNegation(node: ts.Node): node is ts.PrefixUnaryExpression {
  return ts.isPrefixUnaryExpression(node) && node.operator === ts.SyntaxKind.ExclamationToken;
}

/** Statements such as `assertTimeLeft()`, which stop what follows. */
function throwsOnly(statement: ts.ExpressionStatement, source: ts.SourceFile): boolean {
  const inner = ts.isAwaitExpression(statement.expression) ? statement.expression.expression : statement.expression;
  return (
    ts.isCallExpression(inner) &&
    /\b(assert|keepWithin|check|require|waitFor)\w*$/.test(inner.expression.getText(source))
  );
}

/** A whole condition, or a side of `&&` or `||`: other kinds take care of these. */
function isPartOfLogic(node: ts.Node): boolean {
  const { parent } = node;
  if (ts.isIfStatement(parent) || ts.isWhileStatement(parent)) return parent.expression === node;
  if (ts.isConditionalExpression(parent)) return parent.condition === node;
  return isSide(node);
}

function isSide(node: ts.Node): boolean {
  const { parent } = node;
  if (ts.isParenthesizedExpression(parent)) return isSide(parent);
  return (
    ts.isBinaryExpression(parent) &&
    [ts.SyntaxKind.AmpersandAmpersandToken, ts.SyntaxKind.BarBarToken].includes(parent.operatorToken.kind)
  );
}
