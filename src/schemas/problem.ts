import { z } from 'zod';
import { type ErrorReason, errorReasons } from '../base/error-reasons.ts';
import { errorCodes, type GrantryErrorCode } from '../base/errors.ts';

const codes = Object.keys(errorCodes).filter((code): code is GrantryErrorCode => Object.hasOwn(errorCodes, code));
const reasons = Object.keys(errorReasons).filter((each): each is ErrorReason => Object.hasOwn(errorReasons, each));

export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string().meta({ description: 'What happened.' }),
    code: z.enum(codes),
    action: z.string().meta({ description: 'What to do about it.' }),
    reason: z
      .enum(reasons)
      .optional()
      // A newer server may know more reasons than this client.
      .catch(undefined)
      .meta({ description: 'Why, in one word, if the cause is known.' }),
    response: z
      .object({
        status: z.int(),
        data: z.unknown().meta({ description: 'The parsed body, or its text; null if it is too long.' }),
      })
      .optional()
      .meta({ description: "The API's own answer, if it rejected the token of a proxied call." }),
    retry_after: z.int().optional().meta({ description: 'Seconds after which the same call may succeed.' }),
  })
  .meta({
    id: 'Problem',
    description: 'An error (RFC 9457). Decide by `code`.',
    examples: [
      {
        type: 'urn:grantry:error:grant_not_found',
        title: 'The tenant is not connected',
        status: 404,
        detail: 'acme has no grant at zoho_crm (account default).',
        code: 'grant_not_found',
        action: 'Connect it: POST /v1/connect-sessions',
      },
    ],
  });

/** An error as RFC 9457 writes it. Neither a cause nor a stack is ever part of it. */
export type Problem = Readonly<z.output<typeof problemSchema>>;
