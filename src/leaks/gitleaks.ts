import { type LeakRule, leakRules } from './rules.ts';

/** The rules as a configuration of gitleaks. `gitleaks.toml` of the package is this text. */
export function gitleaksConfig(): string {
  const head = [
    '# The rules of Grantry for gitleaks, made from those of grantry/secretlint.',
    'title = "Grantry"',
    '',
    '[extend]',
    'useDefault = true',
  ];
  return `${[...head, ...leakRules.flatMap(ruleLines)].join('\n')}\n`;
}

function ruleLines({ id, title, pattern, keywords, entropyMin }: LeakRule): string[] {
  return [
    '',
    '[[rules]]',
    `id = "grantry-${id.replaceAll('_', '-')}"`,
    `description = "Found ${title}."`,
    `regex = '''${expressionOf(pattern)}'''`,
    ...(hasGroup(pattern) ? ['secretGroup = 1'] : []),
    ...(entropyMin === undefined ? [] : [`entropy = ${entropyMin}`]),
    ...(keywords.length === 0 ? [] : [`keywords = [${keywords.map((word) => `"${word}"`).join(', ')}]`]),
  ];
}

/** Writes a pattern for RE2, which refuses repetitions above 1,000, and needs no bound to be quick. */
function expressionOf({ source, flags }: RegExp): string {
  const open = source.replaceAll(/\{(\d+),\d{4,}\}/g, '{$1,}');
  // RE2 has no empty class, and takes a slash as it is.
  const plain = open.replaceAll('[^]', '[\\s\\S]').replaceAll('\\/', '/');
  return flags.includes('i') ? `(?i)${plain}` : plain;
}

function hasGroup({ source }: RegExp): boolean {
  return /(?<!\\)\((?!\?)/.test(source);
}
