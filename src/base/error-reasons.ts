/**
 * The reasons that an error may carry beside its code, and what each means. A code says what to do, a reason says why.
 *
 * docs/errors.md lists them in the same words.
 */
export const errorReasons = {
  ambiguous_app: 'Several apps serve this tenant at the provider, and the call names none.',
  no_app: 'No app serves this tenant at the provider.',
  unknown_provider: 'There is no provider of that id.',
  wrong_data_centre: 'The URL is in another data centre than the grant. The call was not sent.',
  ambiguous_product: 'Several products of the provider may have the path. The call was not sent.',
  token_accepted: "The grant's own API accepts the token that was reported as rejected.",
  token_rejected: 'The API rejects a token that was just refreshed.',
  client_refused: 'The provider refuses the client id, the secret or the registration of the app.',
  code_refused: 'The provider refuses the authorization code.',
  consent_refused: 'The provider, or the user there, refused the authorization.',
  wrong_organization: 'The consent is for another organisation than the expected one. Its tokens were not stored.',
  organization_unread: 'The organisation of a consent could not be read. Its tokens are not stored.',
  scope_refused: 'The provider refuses the requested scopes.',
  throttled: 'The provider throttles token requests.',
  unavailable: 'The provider answered that it is not available.',
  not_understood: "The provider's answer is no known error.",
  unusable_answer: 'An answer arrived, of the provider or of a gateway before it, and nothing in it can be used.',
  answer_lost: "A request was sent, and the provider's answer did not arrive.",
  answer_refused: 'The database refuses to save the last answer. It waits in the spool.',
  refused: 'The provider refused the refresh token.',
  revoked: 'The provider says that the grant was revoked.',
  lost_rotation: 'The provider replaced the refresh token, and the answer with the new one was lost.',
  no_refresh_token: 'The grant has no refresh token.',
  narrow_unique_index:
    'A unique index of another program forbids a second account. The action has the statement that drops it.',
} as const satisfies Readonly<Record<string, string>>;

/** A reason of the list, such as `wrong_data_centre`. */
export type ErrorReason = keyof typeof errorReasons;

/** Returns a text as a reason if it is one. */
export function errorReasonOf(text: string | null | undefined): ErrorReason | undefined {
  return typeof text === 'string' && isErrorReason(text) ? text : undefined;
}

function isErrorReason(text: string): text is ErrorReason {
  return Object.hasOwn(errorReasons, text);
}
