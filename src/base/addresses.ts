import ipaddr from 'ipaddr.js';

/** Public by their range, and yet a cloud's own: its machines answer there about themselves. */
const cloudAddresses = new Set(['168.63.129.16']);

/** Within the global unicast block, and all the same special (IANA's registry), where the library calls them unicast. */
const specialV6 = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'].map((range) => ipaddr.IPv6.parseCIDR(range));
const globalV6 = ipaddr.IPv6.parseCIDR('2000::/3');

/**
 * True for an address that a provider's host may have: global unicast and nothing else.
 *
 * Forms that carry an IPv4 address inside (mapped, compatible, NAT64, 6to4, Teredo) are refused whatever is inside.
 *
 * @param allowLoopback lets `127.0.0.0/8` and `::1` through, for tests and local simulators
 */
export function isAllowedAddress(address: string, allowLoopback: boolean): boolean {
  const parsed = parse(address);
  if (parsed === null) return false;
  if (parsed.range() === 'loopback') return allowLoopback;
  if (parsed instanceof ipaddr.IPv4) return parsed.range() === 'unicast' && !cloudAddresses.has(parsed.toString());
  return parsed.range() === 'unicast' && parsed.match(globalV6) && !specialV6.some((range) => parsed.match(range));
}

/** In the four-part form alone: others read `010.0.0.1` and `1` in ways of their own. */
function parse(address: string): ipaddr.IPv4 | ipaddr.IPv6 | null {
  if (ipaddr.IPv4.isValidFourPartDecimal(address)) return ipaddr.IPv4.parse(address);
  return ipaddr.IPv6.isValid(address) ? ipaddr.IPv6.parse(address) : null;
}
