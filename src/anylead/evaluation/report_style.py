"""The style sheet of the report: light and dark, one column on a telephone, nothing fetched."""

STYLE = """
:root { color-scheme: light dark; --page: #ffffff; --card: #f5f7f9; --ink: #17202a; --soft: #55616d;
  --line: #d3dae1; --accent: #0b5cad; --series-1: #0b5cad; --series-2: #c2410c; --series-3: #0f766e;
  --series-4: #a21caf; --series-5: #7a5c00; --series-6: #475569; }
@media (prefers-color-scheme: dark) { :root { --page: #11161c; --card: #1a222b; --ink: #e6ebf0;
  --soft: #a3afba; --line: #34404c; --accent: #7cb8f5; --series-1: #7cb8f5; --series-2: #fb9a5b;
  --series-3: #4fd1c0; --series-4: #e09cf0; --series-5: #e3c34a; --series-6: #b6c2d0; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); line-height: 1.5;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 1rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; padding-top: .75rem; border-top: 1px solid var(--line); }
p, li { max-width: 46rem; overflow-wrap: anywhere; }
.summary { background: var(--card); border-left: 4px solid var(--accent); padding: .75rem 1rem;
  border-radius: 4px; }
.summary p { margin: .35rem 0; max-width: none; }
.note { color: var(--soft); font-size: .9rem; margin: .35rem 0; }
table { border-collapse: collapse; width: 100%; margin: 1.25rem 0; font-variant-numeric: tabular-nums;
  font-size: .9rem; }
caption { text-align: left; font-weight: 600; padding-bottom: .4rem; font-size: 1rem; }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: anywhere; }
thead th { border-bottom: 2px solid var(--line); color: var(--soft); font-weight: 600; }
tbody th { font-weight: 600; min-width: 7rem; }
.range { color: var(--soft); white-space: nowrap; font-size: .85em; }
.resamples { color: var(--soft); font-size: .8em; }
.none { color: var(--soft); font-style: italic; }
.figures { display: flex; flex-wrap: wrap; gap: 1rem 2rem; }
figure { margin: 1rem 0 0; flex: 1 1 26rem; max-width: 30rem; min-width: 0; }
figure.wide { flex-basis: 100%; max-width: none; }
figure.wide svg { background: #fff; border-radius: 4px; }
figcaption { font-weight: 600; margin-bottom: .25rem; }
svg { width: 100%; height: auto; display: block; color: var(--ink); font-family: inherit; }
svg text { font-family: inherit; }
details { margin-top: .5rem; }
summary { cursor: pointer; color: var(--accent); }
pre { background: var(--card); padding: .75rem; overflow-x: auto; font-size: .8rem; border-radius: 4px;
  white-space: pre-wrap; overflow-wrap: anywhere; }
@media (max-width: 44rem) {
  h1 { font-size: 1.35rem; }
  table, tbody, tr, td, caption { display: block; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tbody tr { background: var(--card); border-radius: 4px; padding: .5rem .75rem; margin-bottom: .6rem; }
  tbody th { display: block; padding: 0 0 .25rem; }
  tbody td { display: flex; justify-content: space-between; gap: 1rem; padding: .2rem 0; border-bottom: 0; }
  tbody td::before { content: attr(data-column); color: var(--soft); }
  tbody td > span { text-align: right; }
}
@media print { :root { --page: #fff; --ink: #000; } section { break-inside: avoid-page; } }
"""
