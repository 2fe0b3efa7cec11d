/**
 * The dashboard's files as texts, so that they are in the executable too.
 *
 * @module
 */

import { createHash } from "node:crypto";
import dagre from "@dagrejs/dagre" with { type: "text" };
import patch from "diff/lib/patch/parse.js" with { type: "text" };
import uplotScript from "uplot/dist/uPlot.esm.js" with { type: "text" };
import uplotStyle from "uplot/dist/uPlot.min.css" with { type: "text" };
import index from "./page/index.html" with { type: "text" };
import icon from "./page/icon.svg" with { type: "text" };
import baseStyle from "./page/base.css" with { type: "text" };
import layoutStyle from "./page/layout.css" with { type: "text" };
import tableStyle from "./page/table.css" with { type: "text" };
import plotsStyle from "./page/plots.css" with { type: "text" };
import dialogsStyle from "./page/dialogs.css" with { type: "text" };
import diffStyle from "./page/diff.css" with { type: "text" };
import emptyStyle from "./page/empty.css" with { type: "text" };
import graphStyle from "./page/graph.css" with { type: "text" };
import logStyle from "./page/log.css" with { type: "text" };
import pausesStyle from "./page/pauses.css" with { type: "text" };
import usageStyle from "./page/usage.css" with { type: "text" };
import panelStyle from "./page/panel.css" with { type: "text" };
import api from "./page/api.js" with { type: "text" };
import changes from "./page/changes.js" with { type: "text" };
import create from "./page/create.js" with { type: "text" };
import diff from "./page/diff.js" with { type: "text" };
import diffBoxes from "./page/diff_boxes.js" with { type: "text" };
import diffComments from "./page/diff_comments.js" with { type: "text" };
import diffFile from "./page/diff_file.js" with { type: "text" };
import dom from "./page/dom.js" with { type: "text" };
import graph from "./page/graph.js" with { type: "text" };
import graphPicture from "./page/graph_picture.js" with { type: "text" };
import facts from "./page/facts.js" with { type: "text" };
import filters from "./page/filters.js" with { type: "text" };
import format from "./page/format.js" with { type: "text" };
import keyboard from "./page/keyboard.js" with { type: "text" };
import live from "./page/live.js" with { type: "text" };
import log from "./page/log.js" with { type: "text" };
import logLines from "./page/log_lines.js" with { type: "text" };
import login from "./page/login.js" with { type: "text" };
import main from "./page/main.js" with { type: "text" };
import notice from "./page/notice.js" with { type: "text" };
import overview from "./page/overview.js" with { type: "text" };
import panel from "./page/panel.js" with { type: "text" };
import pauses from "./page/pauses.js" with { type: "text" };
import plots from "./page/plots.js" with { type: "text" };
import providers from "./page/providers.js" with { type: "text" };
import rows from "./page/rows.js" with { type: "text" };
import runners from "./page/runners.js" with { type: "text" };
import search from "./page/search.js" with { type: "text" };
import states from "./page/states.js" with { type: "text" };
import table from "./page/table.js" with { type: "text" };
import taskList from "./page/task_list.js" with { type: "text" };
import theme from "./page/theme.js" with { type: "text" };
import timeline from "./page/timeline.js" with { type: "text" };
import usage from "./page/usage.js" with { type: "text" };

/** A file as it is sent. */
export interface Asset {
  readonly text: string;
  readonly type: string;
  /** Changes with the text. */
  readonly tag: string;
}

const TYPES = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml",
};

function asset(text: string, type: keyof typeof TYPES): Asset {
  const digest = createHash("sha256").update(text).digest("base64url");
  return { text, type: TYPES[type], tag: `"${digest}"` };
}

/** The page itself. */
export const page: Asset = asset(index, "html");

const STYLES = {
  base: baseStyle,
  diff: diffStyle,
  graph: graphStyle,
  layout: layoutStyle,
  log: logStyle,
  panel: panelStyle,
  empty: emptyStyle,
  pauses: pausesStyle,
  usage: usageStyle,
  dialogs: dialogsStyle,
  plots: plotsStyle,
  table: tableStyle,
  uplot: uplotStyle,
};

const SCRIPTS = {
  api,
  changes,
  create,
  diff,
  diff_boxes: diffBoxes,
  diff_comments: diffComments,
  diff_file: diffFile,
  dom,
  dagre,
  facts,
  filters,
  format,
  graph,
  graph_picture: graphPicture,
  keyboard,
  live,
  log,
  log_lines: logLines,
  login,
  main,
  notice,
  overview,
  panel,
  patch,
  pauses,
  plots,
  providers,
  rows,
  runners,
  search,
  states,
  table,
  task_list: taskList,
  theme,
  timeline,
  usage,
  uplot: uplotScript,
};

/** The page's files by their names. */
export const files: ReadonlyMap<string, Asset> = new Map([
  ["icon.svg", asset(icon, "svg")],
  ...Object.entries(STYLES).map(([name, text]) =>
    [`${name}.css`, asset(text, "css")] as const
  ),
  ...Object.entries(SCRIPTS).map(([name, text]) =>
    [`${name}.js`, asset(text, "js")] as const
  ),
]);
