import { BlockList, isIP } from 'node:net';

/**
 * IPv4 addresses that are not global unicast (IANA's special-purpose registry, and multicast), and one public address
 * that a cloud reserves for itself: a virtual machine reads facts about itself there.
 */
const specialV4 = blocks(
  'ipv4',
  '0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24',
  '192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24',
  '203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 168.63.129.16/32',
);

/** The prefix by which DNS64 writes an IPv4 address as an IPv6 one (RFC 6052), for hosts that have IPv4 only. */
const translated = { prefix: '64:ff9b::', block: blocks('ipv6', '64:ff9b::/96') };
/** Global unicast, and the blocks of the same registry within it. */
const globalV6 = blocks('ipv6', '2000::/3');
const specialV6 = blocks('ipv6', '2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20');

const loopback = { ipv4: blocks('ipv4', '127.0.0.0/8'), ipv6: blocks('ipv6', '::1/128') };

/**
 * Tells whether a provider's host may have this address: only global unicast may.
 *
 * An address of the well-known NAT64 prefix is judged by the IPv4 address inside, and loopback inside is always refused.
 * The other forms that carry an IPv4 address (mapped, compatible, 6to4, Teredo) are refused for any inner address. So is
 * the local NAT64 prefix of RFC 8215, where each network decides at which bits the inner address stands. Forms that parsers
 * read differently (`010.0.0.1`, `1`) and addresses with a zone are refused, too.
 *
 * @param allowLoopback also allows `127.0.0.0/8` and `::1`, for tests and local simulators
 */
export function isAllowedAddress(address: string, allowLoopback: boolean): boolean {
  const family = isIP(address) === 4 ? 'ipv4' : 'ipv6';
  if (isIP(address) === 0 || address.includes('%')) return false;
  if (loopback[family].check(address, family)) return allowLoopback;
  if (family === 'ipv4') return !specialV4.check(address, family);
  if (translated.block.check(address, family)) return !specialV4.check(innerV4(address), 'ipv4');
  return globalV6.check(address, family) && !specialV6.check(address, family);
}

/**
 * Tells whether a host's name may be a provider's, where no address is known: names of this machine and of private
 * networks may not.
 */
export function isPublicName(name: string): boolean {
  const host = name.replace(/\.$/, '').toLowerCase();
  return host.includes('.') && !/(^|\.)(localhost|local|internal|home\.arpa|localdomain)$/.test(host);
}

/** Reads the last 32 bits of an address with the well-known NAT64 prefix. */
function innerV4(address: string): string {
  // The URL parser writes every form of one address alike: the longest run of zeros, which the prefix has, as "::".
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const groups = canonical.slice(translated.prefix.length).split(':');
  const [low = 0, high = 0] = groups.toReversed().map((group) => Number.parseInt(group || '0', 16));
  return [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.');
}

function blocks(family: 'ipv4' | 'ipv6', ...ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges.join(' ').split(' ')) {
    const [network = '', bits] = range.split('/');
    list.addSubnet(network, Number(bits), family);
  }
  return list;
}
