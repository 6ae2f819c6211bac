/** The addresses to which this program may connect: rows S-03 and S-04 of the attacks. */
import { describe, expect, it } from 'vitest';
import { isAllowedAddress } from '../../src/base/network/addresses.ts';
import { RefusedAddressError } from '../../src/base/network/outbound-errors.ts';
import { systemWorld } from '../../src/base/system-world.ts';
import { sendBy, ways } from './send-ways.ts';

describe('S-03: addresses written out in a URL are checked, too', () => {
  const hosts = [
    '127.0.0.1',
    '[::1]',
    '127.1',
    '0x7f.1',
    '2130706433',
    '017700000001',
    '0',
    '[::ffff:7f00:1]',
    '10.0.0.1',
  ];

  it.each(hosts.flatMap((host) => ways.map((way) => [host, way] as const)))('%s, %s', async (host, way) => {
    await expect(sendBy(way, systemWorld(), `https://${host}/`)).rejects.toThrow(RefusedAddressError);
  });
});

describe('S-04: global unicast addresses and nothing else', () => {
  it.each([
    // One inside and one on each edge, then the neighbours that are public.
    ['0.0.0.0/8', ['0.0.0.0', '0.1.2.3', '0.255.255.255'], ['1.0.0.0']],
    ['10.0.0.0/8', ['10.0.0.0', '10.9.8.7', '10.255.255.255'], ['9.255.255.255', '11.0.0.0']],
    ['100.64.0.0/10', ['100.64.0.0', '100.100.100.200', '100.127.255.255'], ['100.63.255.255', '100.128.0.0']],
    ['127.0.0.0/8', ['127.0.0.0', '127.0.0.1', '127.255.255.255'], ['126.255.255.255', '128.0.0.0']],
    ['169.254.0.0/16', ['169.254.0.0', '169.254.169.254', '169.254.255.255'], ['169.253.255.255', '169.255.0.0']],
    ['172.16.0.0/12', ['172.16.0.0', '172.20.1.1', '172.31.255.255'], ['172.15.255.255', '172.32.0.0']],
    ['192.0.0.0/24', ['192.0.0.0', '192.0.0.192', '192.0.0.255'], ['191.255.255.255', '192.0.1.0']],
    ['192.0.2.0/24', ['192.0.2.0', '192.0.2.9', '192.0.2.255'], ['192.0.1.255', '192.0.3.0']],
    ['192.31.196.0/24', ['192.31.196.0', '192.31.196.255'], ['192.31.195.255', '192.31.197.0']],
    ['192.52.193.0/24', ['192.52.193.0', '192.52.193.255'], ['192.52.192.255', '192.52.194.0']],
    ['192.88.99.0/24', ['192.88.99.0', '192.88.99.255'], ['192.88.98.255', '192.88.100.0']],
    ['192.168.0.0/16', ['192.168.0.0', '192.168.1.1', '192.168.255.255'], ['192.167.255.255', '192.169.0.0']],
    ['192.175.48.0/24', ['192.175.48.0', '192.175.48.255'], ['192.175.47.255', '192.175.49.0']],
    ['198.18.0.0/15', ['198.18.0.0', '198.19.1.1', '198.19.255.255'], ['198.17.255.255', '198.20.0.0']],
    ['198.51.100.0/24', ['198.51.100.0', '198.51.100.7', '198.51.100.255'], ['198.51.99.255', '198.51.101.0']],
    ['203.0.113.0/24', ['203.0.113.0', '203.0.113.7', '203.0.113.255'], ['203.0.112.255', '203.0.114.0']],
    ['224.0.0.0/4', ['224.0.0.0', '230.1.1.1', '239.255.255.255'], ['223.255.255.255']],
    ['240.0.0.0/4', ['240.0.0.0', '250.1.1.1', '255.255.255.255'], []],
    ['a cloud’s own', ['168.63.129.16'], ['168.63.129.15', '168.63.129.17']],
    ['::/96', ['::', '::1', '::2', '::7f00:1', '::127.0.0.1', '::8.8.8.8'], []],
    ['mapped', ['::ffff:0.0.0.0', '::ffff:127.0.0.1', '::ffff:8.8.8.8', '::ffff:ffff:ffff'], []],
    [
      '64:ff9b::/96 by the address inside',
      [
        '64:ff9b::',
        '64:ff9b::1',
        '64:ff9b::7f00:1',
        '64:ff9b::a00:1',
        '64:ff9b::10.0.0.1',
        '64:ff9b::ac1f:ffff',
        '64:ff9b::a9fe:a9fe',
        '64:ff9b::169.254.169.254',
        '64:ff9b:0:0:0:0:a9fe:a9fe',
        '64:ff9b::6440:1',
        '64:ff9b::a83f:8110',
        '64:ff9b::e000:1',
        '64:ff9b::ffff:ffff',
        '0064:FF9B::C0A8:0101',
      ],
      ['64:ff9b::808:808', '64:ff9b::8.8.8.8', '64:FF9B:0:0:0:0:888F:BE61', '64:ff9b::b00:0', '64:ff9b::9ff:ffff'],
    ],
    ['next to it', ['64:ff9b::1:808:808', '64:ff9b:0:0:0:1::', '64:ff9a:ffff::808:808'], []],
    ['64:ff9b:1::/48', ['64:ff9b:1::', '64:ff9b:1::1', '64:ff9b:1::808:808', '64:ff9b:1:ffff:ffff:ffff:ffff:ffff'], []],
    ['100::/64', ['100::', '100::1', '100::ffff:ffff:ffff:ffff'], []],
    [
      '2001::/23',
      ['2001::', '2001:0:53aa::1', '2001:0:808:808::5601:5601', '2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff'],
      ['2001:200::'],
    ],
    [
      '2001:db8::/32',
      ['2001:db8::', '2001:db8::1', '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff'],
      ['2001:db9::', '2001:db7::'],
    ],
    [
      '2002::/16',
      ['2002::', '2002:7f00:1::', '2002:a9fe:a9fe::1', '2002:808:808::1', '2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
      ['2003::', '2001:4860:4860::8888'],
    ],
    ['2620:4f:8000::/48', ['2620:4f:8000::', '2620:4f:8000:ffff::1'], ['2620:4f:7fff::', '2620:4f:8001::']],
    ['3fff::/20', ['3fff::', '3fff:1::', '3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff'], ['3ffe::', '2a00:1450::1']],
    ['fc00::/7', ['fc00::', 'fd00:ec2::254', 'fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'], []],
    ['fe80::/10', ['fe80::', 'fe80::1', 'febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'fe80::1%eth0'], []],
    ['fec0::/10', ['fec0::', 'fec0::1', 'feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'], []],
    ['ff00::/8', ['ff00::', 'ff02::1', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'], []],
    ['with a zone', ['2606:4700::1%eth0', '::1%lo'], ['2606:4700::1']],
    ['no address at all', ['', 'localhost', '1', '010.0.0.1', '0x7f.0.0.1', '127.1', '8.8.8.8 '], []],
  ])('%s', (_name, refused, allowed) => {
    for (const address of refused) expect([address, isAllowedAddress(address, false)]).toEqual([address, false]);
    for (const address of allowed) expect([address, isAllowedAddress(address, false)]).toEqual([address, true]);
  });

  it('the switch for simulators opens loopback addresses and no others', () => {
    expect(['127.0.0.1', '127.9.9.9', '::1'].map((address) => isAllowedAddress(address, true))).toEqual([
      true,
      true,
      true,
    ]);
    const others = [
      '10.0.0.1',
      '169.254.169.254',
      '::ffff:127.0.0.1',
      '0.0.0.0',
      'fd00::1',
      '::1%lo',
      '64:ff9b::7f00:1',
    ];
    expect(others.map((address) => isAllowedAddress(address, true))).toEqual(others.map(() => false));
  });
});
