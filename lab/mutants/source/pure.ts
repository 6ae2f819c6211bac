import ts from 'typescript-6';

const kinds = new Set([
  ts.SyntaxKind.Identifier,
  ts.SyntaxKind.ThisKeyword,
  ts.SyntaxKind.NullKeyword,
  ts.SyntaxKind.TrueKeyword,
  ts.SyntaxKind.FalseKeyword,
  ts.SyntaxKind.NumericLiteral,
  ts.SyntaxKind.BigIntLiteral,
  ts.SyntaxKind.StringLiteral,
  ts.SyntaxKind.NoSubstitutionTemplateLiteral,
  ts.SyntaxKind.RegularExpressionLiteral,
]);

/** Calls that only look. By the house's names, `is…` and `has…` ask and change nothing. */
const questions =
  /^(?:is[A-Z]\w*|has[A-Z]\w*|has|includes|some|every|find|filter|map|at|slice|startsWith|endsWith|test|getTime|min|max|Number|String|Boolean)$/;

/** Tells whether an expression can be computed once more without any effect: it waits for nothing, and calls only questions. */
export function isPure(text: string): boolean {
  const source = ts.createSourceFile('value.ts', `(${text});`, ts.ScriptTarget.ESNext, true, ts.ScriptKind.TS);
  const [statement] = source.statements;
  return statement !== undefined && ts.isExpressionStatement(statement) && looksOnly(statement.expression);
}

function looksOnly(node: ts.Node): boolean {
  if (kinds.has(node.kind)) return true;
  if (ts.isPropertyAccessExpression(node)) return looksOnly(node.expression);
  if (ts.isElementAccessExpression(node)) return looksOnly(node.expression) && looksOnly(node.argumentExpression);
  if (ts.isParenthesizedExpression(node) || ts.isNonNullExpression(node) || ts.isTypeOfExpression(node)) {
    return looksOnly(node.expression);
  }
  if (ts.isPrefixUnaryExpression(node)) {
    const changes = node.operator === ts.SyntaxKind.PlusPlusToken || node.operator === ts.SyntaxKind.MinusMinusToken;
    return !changes && looksOnly(node.operand);
  }
  if (ts.isBinaryExpression(node)) {
    const { kind } = node.operatorToken;
    const assigns = kind >= ts.SyntaxKind.FirstAssignment && kind <= ts.SyntaxKind.LastAssignment;
    return !assigns && looksOnly(node.left) && looksOnly(node.right);
  }
  if (ts.isConditionalExpression(node)) {
    return looksOnly(node.condition) && looksOnly(node.whenTrue) && looksOnly(node.whenFalse);
  }
  if (ts.isArrowFunction(node)) return !ts.isBlock(node.body) && !node.modifiers && looksOnly(node.body);
  if (ts.isCallExpression(node)) return isQuestion(node.expression) && node.arguments.every(looksOnly);
  return false;
}

function isQuestion(called: ts.Expression): boolean {
  if (ts.isIdentifier(called)) return questions.test(called.text);
  return ts.isPropertyAccessExpression(called) && questions.test(called.name.text) && looksOnly(called.expression);
}
