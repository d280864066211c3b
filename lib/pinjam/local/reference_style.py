"""The look of the API reference: readable on a phone, in light and dark."""

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --accent: #0b6e4f; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1rem; font: 16px/1.5 system-ui, sans-serif; }
h1 { margin: 0; } h1 small { font-size: 1rem; font-weight: normal; opacity: .7; }
h2 { margin: 1.5rem 0 .5rem; } h3 { margin: 1rem 0 .25rem; font-size: 1rem; }
nav { display: grid; gap: 0 1.5rem; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); }
nav h2 { grid-column: 1 / -1; font-size: 1rem; margin: .75rem 0 0; }
nav ul { display: contents; list-style: none; }
nav a { display: block; padding: .35rem 0; text-decoration: none; color: inherit; overflow-wrap: anywhere; }
a:hover, a:focus { text-decoration: underline; }
code, pre { font-family: ui-monospace, monospace; font-size: .9em; }
pre { overflow-x: auto; padding: .75rem; background: var(--soft); border-radius: .4rem; }
details { border: 1px solid var(--line); border-radius: .5rem; margin: .5rem 0; padding: 0 .75rem; }
details:has(> :target) { border-color: var(--accent); }
:target { scroll-margin-top: 4rem; }
details[open] { padding-bottom: .75rem; }
summary { cursor: pointer; padding: .6rem 0; overflow-wrap: anywhere; }
summary span { opacity: .8; }
.answer { margin: .25rem 0; }
b { font-family: ui-monospace, monospace; font-size: .85em; padding: .1rem .4rem; border-radius: .3rem; }
b { background: var(--soft); }
.get { color: #1565c0; } .post, .good { color: var(--accent); } .put, .patch { color: #9a6700; }
.delete, .bad { color: #b3261e; }
@media (prefers-color-scheme: dark) {
  .get { color: #90caf9; } .post, .good { color: #6fd6ae; } .put, .patch { color: #e6c35c; }
  .delete, .bad { color: #ff9c94; }
}
table { border-collapse: collapse; width: 100%; }
th, td { border-top: 1px solid var(--line); padding: .4rem .5rem .4rem 0; text-align: left; vertical-align: top; }
th { font-weight: normal; width: 30%; overflow-wrap: anywhere; } td { overflow-wrap: anywhere; }
td p { margin: .2rem 0; opacity: .8; }
td table { margin-top: .3rem; border-left: 3px solid var(--line); } td td, td th { padding-left: .5rem; }
@media (max-width: 40rem) {
  th, td { display: block; width: 100%; } td { border-top: 0; padding-top: 0; }
}
"""
