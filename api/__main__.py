from api.cli.entry import serve_main

serve_main()
