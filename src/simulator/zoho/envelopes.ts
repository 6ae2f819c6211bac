import { card } from '../http/markup.ts';

/** Problems of an API call. */
export type ApiProblem = 'no_token' | 'bad_token' | 'scope' | 'organization' | 'too_many' | 'not_found';

/** A product's answer to a problem: the status, and a body that is JSON, or a page when it is text. */
export interface ProblemAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** Builds a product's own error envelope. */
export type Envelope = (problem: ApiProblem) => ProblemAnswer;

type Words = Readonly<Record<ApiProblem, readonly [status: number, code: string | number, message: string]>>;

export const crmEnvelope = said(
  {
    no_token: [401, 'AUTHENTICATION_FAILURE', 'Authentication failed'],
    bad_token: [401, 'INVALID_TOKEN', 'invalid oauth token'],
    scope: [401, 'OAUTH_SCOPE_MISMATCH', 'invalid oauth scope to access this URL'],
    organization: [403, 'NO_PERMISSION', 'permission denied'],
    too_many: [429, 'TOO_MANY_REQUESTS', 'You have made too many requests. Please try again after some time.'],
    not_found: [404, 'INVALID_URL_PATTERN', 'Please check if the URL trying to access is a correct one'],
  },
  (_status, code, message) => ({ code, details: {}, message, status: 'error' }),
);

/** Books, Invoice and Inventory answer a bad token and a missing scope alike. */
export const financeEnvelope = said(
  {
    no_token: [401, 14, 'Authorization failed'],
    bad_token: [401, 57, 'You are not authorized to perform this operation'],
    scope: [401, 57, 'You are not authorized to perform this operation'],
    organization: [400, 6041, 'This user is not associated with the organization'],
    too_many: [
      429,
      44,
      'For security reasons you have been blocked for some time as you have exceeded the maximum number of requests per minute',
    ],
    not_found: [404, 5, 'Invalid URL Passed'],
  },
  (_status, code, message) => ({ code, message }),
);

export const deskEnvelope = said(
  {
    no_token: [401, 'UNAUTHORIZED', 'You are not authenticated to perform this operation.'],
    bad_token: [401, 'INVALID_OAUTH', 'The OAuth Token you provided is invalid.'],
    scope: [403, 'SCOPE_MISMATCH', 'The OAuth token does not have the scope for this operation.'],
    organization: [403, 'OAUTH_ORG_MISMATCH', 'The OAuth token does not belong to this organization.'],
    too_many: [429, 'TOO_MANY_REQUESTS', 'Too many requests.'],
    not_found: [404, 'URL_NOT_FOUND', 'The URL you provided is wrong.'],
  },
  (_status, errorCode, message) => ({ errorCode, message }),
);

export const mailEnvelope = said(
  {
    no_token: [400, 'INVALID_TICKET', 'Invalid Input'],
    bad_token: [401, 'INVALID_OAUTHTOKEN', 'Unauthorized'],
    scope: [401, 'INVALID_OAUTHSCOPE', 'Unauthorized'],
    organization: [400, 'ACCOUNT_NOT_EXIST', 'Invalid Input'],
    too_many: [429, 'URL_ROLLING_THROTTLES_LIMIT_EXCEEDED', 'Too Many Requests'],
    not_found: [404, 'URL_RULE_NOT_CONFIGURED', 'Resource Not Found'],
  },
  (status, errorCode, description) => ({ data: { errorCode }, status: { code: status, description } }),
);

export const projectsEnvelope = said(
  {
    no_token: [401, 'INVALID_OAUTHTOKEN', 'Invalid OAuth access token.'],
    bad_token: [401, 'INVALID_OAUTHTOKEN', 'Invalid OAuth access token.'],
    scope: [403, 'INVALID_OAUTHSCOPE', 'Invalid OAuth scope.'],
    organization: [403, 'FORBIDDEN', 'You are not a member of this portal.'],
    too_many: [429, 'URL_ROLLING_THROTTLES_LIMIT_EXCEEDED', 'Too many requests.'],
    not_found: [404, 'RESOURCE_NOT_FOUND', 'The resource was not found.'],
  },
  (status, title, message) => ({ error: { status_code: status, title, details: [{ message }] } }),
);

/** Creator's older version reports a used-up quota with status 200. */
export const creatorEnvelope = said(
  {
    no_token: [401, 1030, 'Authorization Failure. The access token is either invalid or has expired.'],
    bad_token: [401, 1030, 'Authorization Failure. The access token is either invalid or has expired.'],
    scope: [401, 2945, 'Invalid OAuth scope.'],
    organization: [403, 2933, 'Permission denied.'],
    too_many: [200, 4000, 'You have reached your API limit.'],
    not_found: [404, 3000, 'Invalid request URL.'],
  },
  (_status, code, message) => ({ code, message }),
);

export const analyticsEnvelope = said(
  {
    no_token: [401, 8535, 'INVALID_OAUTHTOKEN'],
    bad_token: [401, 8535, 'INVALID_OAUTHTOKEN'],
    scope: [401, 8540, 'INVALID_OAUTHSCOPE'],
    organization: [400, 8083, 'INVALID_ORGID'],
    too_many: [429, 8132, 'TOO_MANY_REQUESTS'],
    not_found: [404, 8102, 'URL_NOT_FOUND'],
  },
  (_status, errorCode, errorMessage) => ({
    status: 'failure',
    summary: errorMessage,
    data: { errorCode, errorMessage },
  }),
);

export const workDriveEnvelope = said(
  {
    no_token: [401, 'F7003', 'Invalid OAuth token.'],
    bad_token: [401, 'F7003', 'Invalid OAuth token.'],
    scope: [401, 'F7004', 'Invalid OAuth scope.'],
    organization: [403, 'R008', 'Unauthorized access.'],
    too_many: [429, 'R014', 'Too many requests.'],
    not_found: [404, 'R404', 'URL not found.'],
  },
  (_status, id, title) => ({ errors: [{ id, title }] }),
);

/** Products without a published envelope: only the status counts. */
export const plainEnvelope = said(
  {
    no_token: [401, 'INVALID_OAUTHTOKEN', 'Invalid OAuth token.'],
    bad_token: [401, 'INVALID_OAUTHTOKEN', 'Invalid OAuth token.'],
    scope: [401, 'INVALID_OAUTHSCOPE', 'Invalid OAuth scope.'],
    organization: [403, 'NO_PERMISSION', 'Not a member of this organization.'],
    too_many: [429, 'TOO_MANY_REQUESTS', 'Too many requests.'],
    not_found: [404, 'URL_NOT_FOUND', 'URL not found.'],
  },
  (_status, code, message) => ({ code, message }),
);

/** Bookings answers every refusal with the same page: only the status differs. */
export const bookingsEnvelope: Envelope = (problem) => {
  const statuses = {
    no_token: 400,
    bad_token: 401,
    scope: 401,
    organization: 403,
    too_many: 429,
    not_found: 404,
  } as const;
  return { status: statuses[problem], body: card('Sorry', '<p>Something went wrong with this request.</p>') };
};

function said(words: Words, envelope: (status: number, code: string | number, message: string) => unknown): Envelope {
  return (problem) => {
    const [status, code, message] = words[problem];
    return { status, body: envelope(status, code, message) };
  };
}
