"""The report: an audit published as a page and as parquet, and shown in the terminal.

audit = ask(workspace)                       pipelines/audit/everything.py
folder = write_report(workspace, audit)      publish: report/report.html, report/<question>.parquet, manifest.json
page = render_html(audit)                    page
console.print(*render_text(audit))           terminal

Nothing is imported here: answers and numbers serve every look-up, and a look-up is over before the page has loaded.
"""
