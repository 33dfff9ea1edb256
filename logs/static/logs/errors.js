// The page of an error: times as people read them. Without it they stay in UTC.
import { localise } from "./times.js";

document.querySelectorAll("time[data-long]").forEach(localise);
