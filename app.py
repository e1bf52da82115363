"""The app: `toylab app`, or `streamlit run app.py`. Its pages are listed in `toylab.pages`."""

import streamlit as st

from toylab import environment
from toylab.pages import ICON, PAGES

environment.pin()  # before JAX computes anything
st.set_page_config(page_title="toylab", page_icon=str(ICON), layout="wide")
st.navigation(
    [st.Page(page.show, title=page.NAME, url_path=page.PATH) for page in PAGES], position="top"
).run()
