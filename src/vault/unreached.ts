import { GrantryError } from '../base/errors.ts';
import { certificateTrouble } from '../base/network/certificates.ts';
import { EgressProxyError, NotSentError, RefusedAddressError } from '../base/network/outbound-errors.ts';
import { systemCodeOf } from '../base/system-error.ts';

/**
 * The error for a request to a provider that got no answer. A cause that is known is told: a host without a public address,
 * an egress proxy that refuses, a certificate that is not trusted.
 *
 * @param message the words for every other cause
 */
export function unreached(error: unknown, message: string, retryAfterMs: number): GrantryError {
  if (error instanceof RefusedAddressError) {
    return new GrantryError('provider_misconfigured', "The provider's host leads to no public address.", {
      action: "Correct the host in the provider's definition, or its DNS record. No grant is affected.",
      cause: error,
    });
  }
  if (error instanceof EgressProxyError) return proxyFailure(error, retryAfterMs);
  const code = error instanceof NotSentError ? systemCodeOf(error.cause) : null;
  const trouble = certificateTrouble(code);
  if (trouble === null) {
    const known =
      code !== null && /^[A-Z][A-Z0-9_]{2,40}$/.test(code) ? message.replace(/\.$/, ` (${code}).`) : message;
    return new GrantryError('provider_unavailable', known, { cause: error, retryAfterMs });
  }
  return new GrantryError(
    'provider_unavailable',
    `The provider's certificate is not accepted: ${trouble} (${code ?? ''}). Nothing was sent.`,
    {
      action: 'If a proxy of this network opens TLS connections, name its certificate in NODE_EXTRA_CA_CERTS.',
      cause: error,
      retryAfterMs,
    },
  );
}

function proxyFailure(error: EgressProxyError, retryAfterMs: number): GrantryError {
  const { proxy, status, code } = error;
  const said = status === null ? `cannot be used (${code ?? 'no code'})` : `refused the connection (status ${status})`;
  // A login or a rule of the proxy is not mended by waiting.
  const isLasting = status !== null && status < 500;
  return new GrantryError('provider_unavailable', `The egress proxy ${proxy} ${said}. Nothing reached the provider.`, {
    action: proxyAction(status),
    cause: error,
    ...(isLasting ? { retryable: false } : { retryAfterMs }),
  });
}

function proxyAction(status: number | null): string {
  if (status === null) return 'Check the address in GRANTRY_EGRESS_PROXY, and that the proxy is running.';
  if (status === 407) return 'Check the user and the password in GRANTRY_EGRESS_PROXY.';
  if (status < 500) return "Allow the provider's hosts in the rules of the proxy.";
  return "Check that the proxy can look up and reach the provider's hosts.";
}
