/** All of the page's style: it is one file that asks no other host for anything. */
export const STYLE = `
:root { color-scheme: light dark; --ink: #1a1f27; --quiet: #5d6673; --line: #dfe3e8; --ground: #fff; --card: #f6f7f9;
  --accent: #1f5fa8; --before: #c3ccd8; --good: #18794e; --bad: #b42318; --warn: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --quiet: #9aa4b2; --line: #2c333d; --ground: #12161c; --card: #1a2029;
  --accent: #6aa9f0; --before: #46515f; --good: #4cc38a; --bad: #ff8a80; --warn: #e5b567; } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 72rem; padding: 2rem 1.25rem 4rem; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; font-variant-numeric: tabular-nums }
h1 { font-size: 1.5rem; margin: 0 .75rem 0 0; overflow-wrap: anywhere } h2 { font-size: 1.1rem; margin: 2.5rem 0 .75rem }
header { display: flex; flex-wrap: wrap; align-items: center } header p { flex-basis: 100%; margin: .25rem 0 0; color: var(--quiet) }
.badge { padding: .1rem .6rem; border-radius: 1rem; border: 1px solid; font-weight: 600 }
.passed { color: var(--good) } .failed { color: var(--bad) } .warning { color: var(--warn) } .quiet { color: var(--quiet) }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .75rem; margin: 1.5rem 0 0; padding: 0 }
.figure { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .75rem 1rem }
.figure dt { color: var(--quiet); font-size: .85rem } .figure dd { margin: 0 } .figure dd:nth-of-type(1) { font-size: 1.6rem; font-weight: 600 }
.figure dd + dd { color: var(--quiet); font-size: .85rem }
ul { padding-left: 1.2rem; margin: .5rem 0 } li { margin: .25rem 0 }
.scroll { overflow-x: auto } table { border-collapse: collapse; width: 100%; font-size: .85rem }
th, td { padding: .3rem .5rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap }
th { color: var(--quiet); font-weight: 500 } th:first-child, td:first-child, .text { text-align: left }
td.reason { white-space: normal; min-width: 11rem } td { vertical-align: top }
td:first-child { white-space: normal; overflow-wrap: anywhere; min-width: 9rem } td .dim { color: var(--quiet) }
svg { max-width: 100%; height: auto; display: block } svg.plot { max-width: 40rem } svg text { fill: var(--ink); font: 12px system-ui, sans-serif }
svg .dim { fill: var(--quiet) } svg .before { fill: var(--before) } svg .after, svg .dot { fill: var(--accent) }
svg .grid { stroke: var(--line) } svg .curve { stroke: var(--accent); fill: none; stroke-width: 2 } svg .paper { fill: none }
pre { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: 1rem; overflow-x: auto; font-size: .85rem }
footer { margin-top: 3rem; color: var(--quiet); font-size: .85rem }
@media print { body { max-width: none } details[open] pre { white-space: pre-wrap } }
`;
