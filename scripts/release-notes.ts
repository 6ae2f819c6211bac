/**
 * `node scripts/release-notes.ts v1.2.3`: prints the changelog's section of that version. Fails when package.json has
 * another version, or when the section is missing.
 */
import { readFileSync } from 'node:fs';

const [tag = ''] = process.argv.slice(2);
const { version }: { version: string } = JSON.parse(readFileSync('package.json', 'utf8'));
if (tag !== `v${version}`) throw new Error(`the tag ${tag} does not name version ${version}`);
const sections = readFileSync('CHANGELOG.md', 'utf8').split(/^## /m);
const section = sections.find((each) => each.startsWith(`${version} `));
if (section === undefined) throw new Error(`CHANGELOG.md has no section for ${version}`);
process.stdout.write(`${section.slice(section.indexOf('\n')).trim()}\n`);
