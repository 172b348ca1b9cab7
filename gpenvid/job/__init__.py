"""The flow: analyse, render, assemble, report. The only room that knows the others."""
