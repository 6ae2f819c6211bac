/** Escapes text for HTML and for attribute values in double quotes. */
export function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** Renders a whole page in the simulator's style: light and dark, any width, no script. */
export function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escape(title)}</title>
<style>${style}</style>
${body}
</html>
`;
}

/** Renders a small centred page, for consent and errors. */
export function card(title: string, body: string): string {
  return page(title, `<main class="card"><p class="note">Grantry simulator</p><h1>${escape(title)}</h1>${body}</main>`);
}

const style = `
:root{--paper:#fbfaf7;--sheet:#fff;--ink:#1d2126;--soft:#5d6570;--line:#e0ddd5;--accent:#285ea8;--good:#1d6b43;--bad:#a52a23;--warn:#8a5a00}
@media (prefers-color-scheme:dark){:root{--paper:#14171a;--sheet:#1c2024;--ink:#e6e4df;--soft:#9ba3ac;--line:#30363c;--accent:#86b4f2;--good:#7fce9f;--bad:#f2938b;--warn:#e3b45c}}
*{box-sizing:border-box}
body,html{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:75rem;margin:0 auto;padding:1.5rem 1.25rem 4rem}
h1{font-size:1.5rem;line-height:1.2;margin:0 0 .25rem}
h2{font-size:1.05rem;margin:2.25rem 0 .5rem}
p{margin:.25rem 0 .75rem}
a{color:var(--accent)}
code,.mono{font:.86em ui-monospace,Menlo,Consolas,monospace}
.note{color:var(--soft);font-size:.9rem}
.scroll{overflow-x:auto;background:var(--sheet);border:1px solid var(--line);border-radius:8px}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;vertical-align:top;padding:.4rem .75rem;border-bottom:1px solid var(--line)}
tr:last-child td{border-bottom:0}
th{font-weight:600;color:var(--soft);white-space:nowrap}
.whole{white-space:nowrap}
.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}.soft{color:var(--soft)}
.facts{display:flex;flex-wrap:wrap;gap:.25rem 2rem;margin:.75rem 0;padding:0;list-style:none}
.facts b{font-size:1.25rem;font-variant-numeric:tabular-nums}
.card{max-width:30rem;margin:8vh auto 0;background:var(--sheet);border:1px solid var(--line);border-radius:10px;padding:1.75rem 1.75rem 1.5rem}
.card ul{padding-left:1.2rem}
label{display:block;margin:1rem 0 .25rem;font-weight:600}
select,button{font:inherit;padding:.5rem .9rem;border-radius:7px;border:1px solid var(--line);background:var(--paper);color:var(--ink);max-width:100%}
button{cursor:pointer}
button.main{background:var(--accent);border-color:var(--accent);color:var(--sheet);font-weight:600}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.buttons{display:flex;gap:.75rem;margin-top:1.25rem}
@media (max-width:40rem){
main{padding:1rem .9rem 3rem}
.card{margin:0;border:0;border-radius:0;min-height:100vh;max-width:none}
table.stack thead{display:none}
table.stack tr{display:block;padding:.6rem .75rem;border-bottom:1px solid var(--line)}
table.stack tr:last-child{border-bottom:0}
table.stack td{display:inline;border:0;padding:0;margin-right:.5rem;overflow-wrap:break-word}
table.stack td:empty{display:none}
table.stack code{overflow-wrap:anywhere}
}
`;
