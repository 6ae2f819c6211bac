/** The faults of a certificate, by the codes of Node's TLS. */
const troubles: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: 'it signed itself',
  SELF_SIGNED_CERT_IN_CHAIN: 'its issuer is not trusted here',
  UNABLE_TO_GET_ISSUER_CERT: 'its issuer is not trusted here',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its issuer is not trusted here',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its issuer is not trusted here',
  CERT_UNTRUSTED: 'its issuer is not trusted here',
  CERT_REJECTED: 'its issuer is not trusted here',
  INVALID_CA: 'its issuer is not trusted here',
  CERT_SIGNATURE_FAILURE: 'its signature is not valid',
  CERT_HAS_EXPIRED: 'it has expired',
  CERT_NOT_YET_VALID: 'it is not valid yet',
  CERT_REVOKED: 'it was revoked',
  HOSTNAME_MISMATCH: 'it is for another host',
  ERR_TLS_CERT_ALTNAME_INVALID: 'it is for another host',
};

/** The words for a certificate that a TLS client did not accept; null for every other code. */
export function certificateTrouble(code: string | null | undefined): string | null {
  return code !== null && code !== undefined && Object.hasOwn(troubles, code) ? (troubles[code] ?? null) : null;
}
