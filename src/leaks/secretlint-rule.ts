import { findLeaks } from './find.ts';
import { leakRules } from './rules.ts';

/*
 * The parts of secretlint's interface that the rule uses, written down here: a program without secretlint can load and
 * compile this file.
 */

/** A message of a rule by language; Grantry's are in English. */
export interface RuleMessage {
  /** Returns the text in English. */
  en(): string;
  [language: string]: () => string;
}

/** A message as secretlint passes it back to the report. */
export interface TranslatedMessage {
  message: string;
  messageId: string;
  data: Record<string, unknown> | undefined;
}

/** The context in which secretlint runs a rule on one file. */
export interface RuleContext {
  /** Returns a function that makes a message of its id. */
  createTranslator(messages: Record<string, RuleMessage>): (messageId: string) => TranslatedMessage;
  /** Takes a finding, with its place in the text. */
  report(finding: { message: TranslatedMessage; range: readonly [start: number, end: number] }): void;
}

/** A rule as secretlint loads it. */
export interface RuleCreator {
  messages: Record<string, RuleMessage>;
  meta: {
    id: string;
    type: 'scanner';
    recommended: boolean;
    supportedContentTypes: 'text'[];
  };
  /** Makes the rule for one file. */
  create(context: RuleContext): {
    /** Reads the file. */
    file(source: { readonly content: string }): void;
  };
}

/**
 * The rule of Grantry for secretlint. It finds the tokens of the built-in providers, and the keys and sealed values of
 * Grantry. Each kind has a message id, for secretlint's `allowMessageIds`.
 *
 * No message contains the secret.
 *
 * @example
 * // .secretlintrc.json: {"rules": [{"id": "grantry/secretlint"}]}
 * const rules = [{ id: creator.meta.id, rule: creator }];
 */
export const creator: RuleCreator = {
  messages: Object.fromEntries(leakRules.map(({ id, title }) => [id, { en: () => `found ${title}` }])),
  meta: { id: 'grantry/secretlint', type: 'scanner', recommended: true, supportedContentTypes: ['text'] },
  create(context) {
    const translate = context.createTranslator(creator.messages);
    return {
      file({ content }) {
        for (const { rule, start, end } of findLeaks(content)) {
          context.report({ message: translate(rule.id), range: [start, end] });
        }
      },
    };
  },
};
