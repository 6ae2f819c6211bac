/** Rules for secretlint that find tokens of the built-in providers, and the keys of Grantry. */
export {
  creator,
  type RuleContext,
  type RuleCreator,
  type RuleMessage,
  type TranslatedMessage,
} from '../leaks/secretlint-rule.ts';
