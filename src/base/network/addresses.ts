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

/** Global unicast, and the blocks of the same registry within it. */
const globalV6 = blocks('ipv6', '2000::/3');
const specialV6 = blocks('ipv6', '2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20');

const loopback = { ipv4: blocks('ipv4', '127.0.0.0/8'), ipv6: blocks('ipv6', '::1/128') };

/**
 * Tells whether a provider's host may have this address: only global unicast may.
 *
 * Forms that carry an IPv4 address inside (mapped, compatible, NAT64, 6to4, Teredo) are refused for any inner
 * address. So are forms that parsers read differently (`010.0.0.1`, `1`) and addresses with a zone.
 *
 * @param allowLoopback also allows `127.0.0.0/8` and `::1`, for tests and local simulators
 */
export function isAllowedAddress(address: string, allowLoopback: boolean): boolean {
  const family = isIP(address) === 4 ? 'ipv4' : 'ipv6';
  if (isIP(address) === 0 || address.includes('%')) return false;
  if (loopback[family].check(address, family)) return allowLoopback;
  if (family === 'ipv4') return !specialV4.check(address, family);
  return globalV6.check(address, family) && !specialV6.check(address, family);
}

function blocks(family: 'ipv4' | 'ipv6', ...ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges.join(' ').split(' ')) {
    const [network = '', bits] = range.split('/');
    list.addSubnet(network, Number(bits), family);
  }
  return list;
}
