"""The style sheet of a study's page, besides the one that all pages share."""

from adversarium.study._looks import colour_rules

STYLE = (
    colour_rules()
    + ":root { --shade: #1d273340; }\n@media (prefers-color-scheme: dark) { :root { --shade: #000000a0; } }"
    + """
body { max-width: 70rem; } section { padding: 1.1rem; } section p { max-width: 44rem; }
header { margin: 1.5rem 0 1.2rem; } header .soft { font-size: .95rem; }
h1 { font-size: clamp(1.35rem, 1rem + 2.2vw, 2.1rem); line-height: 1.25; margin: .2rem 0 .7rem; text-wrap: balance; }
h1.long { font-size: clamp(1.15rem, .95rem + 1vw, 1.5rem); }
h2 { font-size: 1.2rem; } h3 { font-size: 1rem; } h4 { margin: .2rem 0; font-size: .9rem; }
.advice { max-width: 48rem; padding-left: 1.1rem; } .advice li { margin: .25rem 0; }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1rem; font-size: .9rem; } a { color: inherit; }
.tiles { display: flex; flex-wrap: wrap; gap: .6rem; margin: 1rem 0; }
.tiles div { flex: 1 1 auto; background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
  padding: .5rem .8rem; }
.tiles dt { color: var(--soft); font-size: .8rem; } .tiles dd { margin: 0; font-weight: 600; font-size: 1.1rem; }
.tiles small { display: block; font-size: .8rem; font-weight: 400; color: var(--soft); }
.scroll { overflow-x: auto; margin: .5rem 0; background:
  linear-gradient(to right, var(--card) 40%, transparent) left / 3rem 100% no-repeat local,
  linear-gradient(to left, var(--card) 40%, transparent) right / 3rem 100% no-repeat local,
  linear-gradient(to right, var(--shade), transparent) left / .9rem 100% no-repeat scroll,
  linear-gradient(to left, var(--shade), transparent) right / .9rem 100% no-repeat scroll; }
.scroll:focus-visible { outline: 2px solid var(--slight); }
.scroll::before { content: "scroll sideways →"; display: block; position: sticky; left: 0; width: max-content;
  font-size: .8rem; color: var(--soft); height: 0; overflow: hidden; visibility: hidden;
  animation: more linear; animation-timeline: scroll(nearest inline); }
@keyframes more { from { height: 1.5rem; visibility: visible; } 90% { visibility: visible; }
  to { height: 1.5rem; visibility: hidden; } }
.scroll table { width: auto; min-width: min(100%, 36rem); overflow-wrap: normal; }
th, td { padding: .3rem .9rem .3rem 0; text-align: left; vertical-align: top; border-top: 1px solid var(--line); }
thead th { color: var(--soft); font-weight: 500; border-top: 0; vertical-align: bottom; }
tbody th { font-weight: 600; } td.n, th.n { text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; } .scroll td { white-space: nowrap; }
.scroll td.wide { white-space: normal; min-width: 14rem; max-width: 30rem; overflow-wrap: anywhere; }
.method { display: inline-flex; align-items: baseline; gap: .4rem; width: max-content; max-width: 15rem; }
.word { display: inline-block; vertical-align: top; }
.method span { min-width: 0; max-width: 100%; overflow-wrap: anywhere; }
h4 .method, .name .method { max-width: 100%; }
summary .method { display: inline; } summary .chip { margin-right: .4rem; }
th .method, td .method { max-width: 13rem; overflow-wrap: anywhere; white-space: normal; }
.chip { display: inline-block; flex: none; width: 1.6rem; height: .75rem; }
.chip .stroke { stroke: var(--c); stroke-width: 2; } .chip .fill, .mark .fill { fill: var(--c); }
.legend { display: flex; flex-wrap: wrap; gap: .15rem 1rem; margin: .6rem 0; padding: 0; list-style: none;
  font-size: .9rem; } .legend li { margin: 0; min-width: 0; } .legend .method { max-width: 100%; }
.mark { overflow: visible; width: 1px; height: 1px; }
.mark .run { fill: var(--c); fill-opacity: .72; stroke: var(--card); stroke-width: 1; }
.mark .failed { stroke: var(--severe); stroke-width: 2; fill: none; }
.mark .middle { stroke: var(--ink); stroke-width: 3; }
.ranking { list-style: none; padding: 0; margin: .8rem 0 0; display: grid; gap: 0 .9rem;
  grid-template-columns: [name] fit-content(17rem) [strip] minmax(0, 1fr) [number] 12rem [bars] auto; }
.ranking li { display: grid; grid-column: 1 / -1; grid-template-columns: subgrid; align-items: center; margin: 0; }
.ranking .name { grid-area: name; min-width: 0; padding: .3rem 0; line-height: 1.3; }
.rank { display: block; margin-left: 2rem; font-size: .8rem; color: var(--soft); white-space: nowrap; }
.ranking .strip { grid-area: strip; } .ranking .number { grid-area: number; }
.ranking .bars { grid-area: bars; align-self: stretch; display: flex; gap: .3rem; }
.ranking .number { font-size: .85rem; line-height: 1.25; padding: .5rem 0; font-variant-numeric: tabular-nums; }
.ranking .number b { font-size: 1.05rem; } .ranking .number span { color: var(--soft); white-space: nowrap; }
.strip { position: relative; align-self: stretch; min-height: 3rem; }
svg.row { position: absolute; inset: 0; height: 100%; overflow: visible; }
td svg.row { position: static; height: 2rem; }
.row .grid, .chart .grid { stroke: var(--line); stroke-width: 1; fill: none; vector-effect: non-scaling-stroke; }
.row .range { stroke: var(--c); stroke-width: 7; opacity: .35; } .row .end { stroke: var(--c); stroke-width: 1.5; }
.row .floor, .chart .floor { stroke: var(--good); stroke-width: 1.5; stroke-dasharray: 5 4; fill: none;
  vector-effect: non-scaling-stroke; } .row .lane { stroke: var(--severe); stroke-dasharray: 1 4; opacity: .7; }
.ticks { min-height: 2.6rem; font-size: .78rem; color: var(--soft); position: relative; }
.ticks span { position: absolute; transform: translateX(-50%); white-space: nowrap; }
.ticks .second { top: 1.2rem; color: var(--good); } .ticks .to-right { transform: none; }
.ticks .to-left { transform: translateX(-100%); } .ticks .lane { color: var(--severe); }
.bars i { width: .45rem; background: none; } .bars .in { background: var(--soft); }
.bars .gap { background: radial-gradient(circle, var(--soft) 1px, transparent 1.5px) center / .45rem .5rem; }
.bars .first { margin-top: .7rem; border-radius: .2rem .2rem 0 0; }
.bars .last { margin-bottom: .7rem; border-radius: 0 0 .2rem .2rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 1rem 1.6rem; }
.many { display: grid; gap: 1rem .9rem; grid-template-columns: repeat(auto-fill,
  minmax(clamp(min(46%, 10rem), 100% / var(--n) - .9rem, 17rem), 1fr)); }
.many > * { max-width: 17rem; min-width: 0; } .many h4 { align-self: end; line-height: 1.3; }
.many > :has(> h4) { display: grid; grid-row: span 2; grid: subgrid / minmax(0, 1fr); gap: 0; }
.many figcaption { line-height: 1.3; font-size: .8rem; }
figure { margin: 0; min-width: 0; } .chart .plot { position: relative; margin: .6rem .4rem 1.5rem 3.4rem; }
.chart .plot > svg { height: 100%; overflow: hidden; } .chart figcaption { text-align: center; }
.chart .plot span { position: absolute; font-size: .75rem; color: var(--soft); white-space: nowrap; }
.chart .y { right: calc(100% + .4rem); transform: translateY(50%); }
.chart .plot .edge { left: .4rem; color: var(--good); background: var(--card); padding: 0 .2rem; }
.chart .x { top: calc(100% + .15rem); transform: translateX(-50%); }
.chart path { fill: none; vector-effect: non-scaling-stroke; stroke-linejoin: round; stroke-linecap: round; }
.chart .axis { stroke: var(--soft); } .chart .band { fill: var(--c); opacity: .2; }
.chart .median { stroke: var(--c); stroke-width: 2.2; }
.chart .one { stroke: var(--c); stroke-width: 1; opacity: .55; }
.chart .other { stroke: var(--soft); stroke-width: 1; opacity: .3; }
.chart .dot { stroke: var(--c); stroke-width: 6; }
.sheet { display: grid; grid-template-columns: 12.5rem minmax(0, 1fr); gap: .5rem .9rem; align-items: center;
  margin: .8rem 0; max-width: 60rem; } details .sheet { max-width: 38rem; } .sheet > div { min-width: 0; }
.sheet img { width: 100%; display: block; image-rendering: pixelated; border-radius: .2rem; }
.scatter svg { background: var(--paper); border: 1px solid var(--line); border-radius: .4rem; }
.scatter path { fill: none; stroke-linecap: round; vector-effect: non-scaling-stroke; }
.scatter .real { stroke: var(--soft); stroke-width: 3; opacity: .35; }
.scatter .fake { stroke: var(--c); stroke-width: 3.6; opacity: .8; }
.scatter .bars-real { fill: var(--soft); opacity: .3; } .scatter .bars-fake { stroke: var(--c); stroke-width: 2; }
.none { aspect-ratio: 1; display: grid; place-items: center; text-align: center; padding: .6rem; color: var(--soft);
  border: 1px dashed var(--line); border-radius: .4rem; font-size: .85rem; }
.sheet .none { aspect-ratio: auto; }
.scroll .cells { min-width: 0; } .cells tbody th, .cells thead th:first-child { position: sticky; left: 0; z-index: 1;
  background: var(--card); padding: .3rem .6rem .3rem 0; vertical-align: middle; }
.cells td { text-align: center; vertical-align: middle; padding: .3rem .5rem; border: 1px solid var(--line);
  min-width: 3.4rem; white-space: nowrap; font-size: .8rem; line-height: 1.25; } .cells td b { font-size: .95rem; }
.cells thead th { text-align: center; padding: .2rem .5rem; white-space: normal; }
.cells thead th:first-child { text-align: left; } .cells tbody th { white-space: nowrap; border: 0; }
.cells .method { white-space: normal; }
.cells .hot { background: color-mix(in srgb, var(--heat) calc(var(--share) * 1%), transparent); }
.cells .wins { --heat: #3b82c4; } .cells .loses { --heat: #d9822b; } .cells .seen { --heat: #d9822b; }
.cells .broke { --heat: #c62f2f; } .cells .self { background: var(--code); border-color: var(--code); }
.spent { display: inline-block; width: 4.5rem; } .time { display: inline-block; min-width: 4.5rem; }
.bar { display: block; height: .55rem; background: var(--c, var(--soft)); border-radius: .1rem; opacity: .75; }
.figure svg { max-width: calc(1.6 * var(--w)); margin: .5rem auto; }
.narrow { display: none; } .beats { list-style: none; padding: 0; } .beats li { margin: .6rem 0; }
details { margin: .7rem 0; } details > * { margin-top: .5rem; }
footer { margin: 1.5rem 0; }
@media (max-width: 44rem) {
  body { padding: .6rem; } section { padding: .8rem; }
  .ranking { display: block; }
  .ranking li { grid-template: "name number bars" auto "strip strip bars" auto / minmax(40%, 1fr) auto auto;
    gap: 0 .6rem;
    border-top: 1px solid var(--line); padding-top: .3rem; }
  .ranking li.ticks-row { border: 0; } .ranking .number { text-align: right; padding: 0; }
  .ranking .number span { white-space: normal; }
  .strip { min-height: 2.6rem; } .sheet { grid-template-columns: minmax(0, 1fr); gap: .2rem; }
  .sheet img, .sheet .none { margin-bottom: .5rem; } .chart .plot { margin-left: 3rem; }
  .broad { display: none; } .narrow { display: block; } .narrow .strip { min-height: 1.6rem; }
  .scroll table { font-size: .85rem; } th .method, td .method { max-width: 9rem; }
}
@media print { section { break-inside: avoid; } nav { display: none; } }
"""
)
"""Rules for a wide page that folds to one column on a phone."""
